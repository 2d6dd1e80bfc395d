"""Parts of objectives. They are functions with names, so that an objective can be pickled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from torchcross.targets.head_layout import HeadLayout


@dataclass(frozen=True)
class WithoutTarget:
    """A loss that does not depend on the target, with the signature of an objective's loss."""

    function: Callable[..., Tensor]

    def __call__(self, logits: Tensor, labels: Tensor, target: Any, **options: Any) -> Tensor:
        return self.function(logits, labels, **options)


def one_output(classes: int) -> HeadLayout:
    return HeadLayout("linear", 1)


def output_per_class(classes: int) -> HeadLayout:
    return HeadLayout("linear", classes)


def identity(values: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
    return values


def most_likely(logits: Float[Tensor, "N C"]) -> Int64[Tensor, " N"]:
    return logits.argmax(dim=-1)


def log_odds(logits: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
    """``z_c - log sum_{j != c} e^(z_j)``: log-odds of each class under the softmax of the logits.

    They never saturate.
    """
    # For the largest logit the others are summed. For the others p <= 1/2, so that 1 - p is exact.
    z = logits - logits.amax(dim=-1, keepdim=True)
    largest = torch.arange(z.shape[-1], device=z.device) == z.argmax(dim=-1, keepdim=True)
    others = torch.where(largest, -torch.inf, z).logsumexp(dim=-1, keepdim=True)
    log_p = z.log_softmax(dim=-1)
    return torch.where(largest, z - others, log_p - torch.log1p(-log_p.exp()))
