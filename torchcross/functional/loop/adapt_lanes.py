"""Plain adaptation of one episode at several rates at once, a lane for each."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from torchcross.functional.loop.adapt import Adapted
from torchcross.functional.loop.derivatives import Transforms
from torchcross.functional.loop.divergence import refuse_divergence
from torchcross.functional.loop.engines.loop import Loop
from torchcross.functional.loop.optimisers import Rates
from torchcross.functional.loop.problem import Problem, start_of
from torchcross.functional.loop.torch_errors import explain_torch_errors
from torchcross.functional.network.attention import second_derivatives
from torchcross.functional.trees import Buffers, Params, detach


def adapt_in_lanes(
    problem: Problem, params: Params, buffers: Buffers, rates: Sequence[Rates]
) -> list[Adapted]:
    """What `adapt` returns at each of the rates, up to rounding.

    The problem's own parameters are all there: its inner loop has no `init`, and takes a step at
    least.
    """
    params = detach(params)
    starts = [start_of(problem, params, each, buffers) for each in rates]
    fixed, like = starts[0].fixed, next(iter(starts[0].adapted.values()))

    def one_lane(table: dict[str, Tensor]) -> dict[str, Any]:
        with torch.no_grad():
            start = start_of(problem, params, table, buffers, check_values=False)
            loop = Loop(problem.inner, start, problem.data, Transforms())
            state, losses = loop.begin(), []
            for k in range(problem.inner.steps):
                state, loss = loop.step(state, k, keep=False)
                losses.append(loss)
        moved = {name: value for name, value in state.buffers.items() if value is not buffers[name]}
        return {"params": state.params, "buffers": moved, "trace": torch.stack(losses)}

    # Transforms also ask for batches, which fused attention may lack.
    with (
        explain_torch_errors(problem.name, "first_order", in_lanes=True),
        second_derivatives(True),
    ):
        together = torch.func.vmap(one_lane)(_stacked_rates(rates, like))
    ends = []
    for lane in range(len(rates)):
        end = pytree.tree_map_only(Tensor, operator.itemgetter(lane), together)
        name = f"after step {problem.inner.steps} parameter"
        refuse_divergence(problem, end["trace"], {name: end["params"]})
        ends.append(
            Adapted({**fixed, **end["params"]}, {**buffers, **end["buffers"]}, end["trace"])
        )
    return ends


def _stacked_rates(rates: Sequence[Rates], like: Tensor) -> dict[str, Tensor]:
    """The rates of all lanes by the names of the parameters, or one name for all."""
    names = next((list(each) for each in rates if isinstance(each, Mapping)), ["*"])
    tables = [each if isinstance(each, Mapping) else dict.fromkeys(names, each) for each in rates]
    return {name: like.new_tensor([table[name] for table in tables]) for name in names}
