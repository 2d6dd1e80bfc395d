"""Learned rates of the inner loop, as parameters of the algorithm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, final

import torch
from torch import Tensor, nn

from torchcross.heads import WEIGHT

# `fixed`: a number. `per_parameter`: one for each entry of each tensor (Meta-SGD); heads, whose
# size is the episode's, have one for their weight and one for their bias. `per_layer_step`: one for
# each layer and inner step (MAML++).
RateKind: TypeAlias = Literal["fixed", "per_parameter", "per_layer_step"]
RATE_KINDS = ("fixed", "per_parameter", "per_layer_step")

_HEAD = WEIGHT.rpartition(".")[0]


@final
class LearnedRates(nn.Module):
    """A rate for every adapted tensor, all starting at `lr`.

    Nothing keeps them positive, as in the papers. `params` are the backbone's, `head_names` those
    of the head, whose size is not known yet.
    """

    def __init__(
        self,
        kind: RateKind,
        lr: float,
        params: Mapping[str, Tensor],
        head_names: tuple[str, ...],
        *,
        steps: int,
    ) -> None:
        super().__init__()
        shapes = {name: tuple(value.shape) for name, value in params.items()}
        shapes |= dict.fromkeys(head_names, ())
        self._slots = {name: _slot(name, kind, own=name in head_names) for name in shapes}
        self.rates = nn.ParameterDict()
        like = next(iter(params.values()), torch.zeros(()))
        for name, slot in self._slots.items():
            shape = (steps,) if kind == "per_layer_step" else shapes[name]
            if slot not in self.rates:
                self.rates[slot] = nn.Parameter(like.new_full(shape, lr))

    def table(self) -> dict[str, Tensor]:
        """Rates by the names of the parameters they are for."""
        return {name: self.rates[slot] for name, slot in self._slots.items()}


def _slot(name: str, kind: RateKind, *, own: bool) -> str:
    """Return the name of a rate: without dots, and different from the module's methods.

    A backbone's layer `head` is not the head, so it gets a slash.
    """
    shared = name
    if kind == "per_layer_step":
        shared = name.rpartition(".")[0] or name
    slash = "" if own or shared != _HEAD else "/"
    return f"rate={slash}{shared.replace('.', '/')}"
