"""Learned rates of the inner loop, as parameters of the algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, final

import torch
from torch import Tensor, nn

from torchcross.errors import InputError
from torchcross.heads import WEIGHT

__all__ = ["LearnedRates", "RateKind"]

RateKind: TypeAlias = Literal["fixed", "per_parameter", "per_layer_step"]
"""`fixed`: a number. `per_parameter`: one for each entry of each tensor (Meta-SGD); heads, whose
size is the episode's, have
one for their weight and one for their bias. `per_layer_step`: one for each layer and inner step
(MAML++).
"""


_HEAD = WEIGHT.rpartition(".")[0]


@final
class LearnedRates(nn.Module):
    """A rate for every adapted tensor, all starting at `lr`. Nothing keeps them positive, as in the
    papers.
    """

    def __init__(
        self,
        kind: RateKind,
        lr: float,
        params: Mapping[str, Tensor],
        own: tuple[str, ...],
        *,
        steps: int,
    ) -> None:
        super().__init__()
        if kind not in ("per_parameter", "per_layer_step"):
            raise InputError(
                f"rates={kind!r} is none of 'fixed', 'per_parameter', 'per_layer_step'."
            )
        self.kind = kind
        self._names = {name: _slot(name, kind, own=name in own) for name in (*params, *own)}
        self.rates = nn.ParameterDict()
        like = next(iter(params.values()), torch.zeros(()))
        for name, slot in self._names.items():
            if slot in self.rates:
                continue
            shape = (
                (steps,)
                if kind == "per_layer_step"
                else params[name].shape
                if name in params
                else ()
            )
            self.rates[slot] = nn.Parameter(
                torch.full(shape, lr, dtype=like.dtype, device=like.device)
            )

    def table(self) -> dict[str, Tensor]:
        """Rates by the names of the parameters they are for."""
        return {name: self.rates[slot] for name, slot in self._names.items()}


def _slot(name: str, kind: RateKind, *, own: bool) -> str:
    """A module's parameters have names without dots, other than those of its methods.

    A backbone's layer `head` is not the head.
    """
    shared = name.rpartition(".")[0] or name if kind == "per_layer_step" else name
    apart = "" if own or shared != _HEAD else "/"
    return f"rate={apart}{shared.replace('.', '/')}"
