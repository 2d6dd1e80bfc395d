"""An optimiser whose state begins where an earlier loop left it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torchcross.functional.loop.optimisers import Optimiser, OptState, Rate
from torchcross.functional.trees import Params


def carry_on(optimiser: Optimiser, state: OptState, steps: int) -> Optimiser:
    """The optimiser after `steps` steps: its state begins as `state`, and it counts on."""

    def init(params: Params) -> OptState:
        return {**optimiser.init(params), **state}

    def update(
        grads: Params, opt: OptState, params: Params, rates: Mapping[str, Rate], step: int
    ) -> tuple[Params, OptState]:
        return optimiser.update(grads, opt, params, rates, steps + step)

    def move(grads: Params, opt: OptState, params: Params, rate: float, step: int) -> None:
        assert optimiser.move is not None
        optimiser.move(grads, opt, params, rate, steps + step)

    return replace(
        optimiser, init=init, update=update, move=None if optimiser.move is None else move
    )
