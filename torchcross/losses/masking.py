"""Missing labels, and the arithmetic that every loss shares.

Everything here is safe under ``torch.func``: no boolean indexing, no branch on data, no
``.item()``.
"""

from __future__ import annotations

from typing import Final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from torchcross._kit.missing_labels import MISSING

_SOFTPLUS_THRESHOLD: Final = 40.0


def is_known(labels: Int64[Tensor, "*S"]) -> Bool[Tensor, "*S"]:
    """True where there is a label."""
    return labels != MISSING


def at_least_float32(logits: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """Half-precision logits as float32, in which counts and sums are safe. Others as they are."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def zero_outside(logits: Float[Tensor, "*S"], mask: Bool[Tensor, "*#S"]) -> Float[Tensor, "*S"]:
    """The logits, with zeros where nothing may overflow or send a NaN back."""
    return torch.where(mask, logits, 0.0)


def softplus(x: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """``log(1 + e^x) = -log s(-x)``, exact to rounding in float32 and float64.

    Of torch's equivalents only this one keeps second derivatives finite for huge logits
    (``logaddexp`` does not) and runs without complaint under vmap over a Hessian (``logsigmoid``
    does not). Its default threshold of 20 would cost 2e-9 in float64.
    """
    return F.softplus(x, threshold=_SOFTPLUS_THRESHOLD)


def masked_mean(
    terms: Float[Tensor, "*S"], mask: Bool[Tensor, "*S"], weights: Float[Tensor, "*S"] | None = None
) -> Float[Tensor, ""]:
    """Sum of the terms inside the mask, over the number of them or the sum of their weights.

    The terms are weighted before. With nothing to average the mean is 0, and so is its gradient.
    """
    inside = mask.to(terms.dtype)
    total = (inside if weights is None else inside * weights).sum()
    return (terms * inside).sum() / torch.where(total > 0, total, 1.0)
