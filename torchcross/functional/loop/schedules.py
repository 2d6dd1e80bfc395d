"""Rates that change from one inner step to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torchcross.functional.loop.optimisers import Optimiser, OptState, Rate
from torchcross.functional.trees import Params


def rate_factors(steps: int, *, warmup: int = 0, cosine: bool = False) -> tuple[float, ...]:
    """What the rates of each step are multiplied by.

    They rise linearly over the first `warmup` steps; with `cosine` they fall after that, as half a
    wave that would reach zero one step after the last.
    """
    factors = []
    for step in range(steps):
        factor = 1.0
        if step < warmup:
            factor = (step + 1) / warmup
        elif cosine:
            factor = (1.0 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2.0
        factors.append(factor)
    return tuple(factors)


def with_schedule(optimiser: Optimiser, factors: Sequence[float]) -> Optimiser:
    """The optimiser with the rates of step k multiplied by `factors[k]`.

    Weight decay that stands apart from the gradient (AdamW) is multiplied with them, as in torch.
    """

    def update(
        grads: Params, state: OptState, params: Params, rates: Mapping[str, Rate], step: int
    ) -> tuple[Params, OptState]:
        scaled = {name: rate * factors[step] for name, rate in rates.items()}
        return optimiser.update(grads, state, params, scaled, step)

    def move(grads: Params, state: OptState, params: Params, rate: float, step: int) -> None:
        assert optimiser.move is not None
        optimiser.move(grads, state, params, rate * factors[step], step)

    # Engines take the steps of a plain descent themselves, at the rates as they are.
    return replace(
        optimiser,
        update=update,
        move=None if optimiser.move is None else move,
        descent=False,
    )
