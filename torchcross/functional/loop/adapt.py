"""Plain adaptation of one episode: the end of the inner loop, without a meta-gradient."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from torchcross.functional.loop.derivatives import Autograd
from torchcross.functional.loop.divergence import refuse_divergence
from torchcross.functional.loop.engines.loop import Loop
from torchcross.functional.loop.problem import Meta, Problem, start_of, with_initial_params
from torchcross.functional.loop.torch_errors import explain_torch_errors
from torchcross.functional.network.purity import refuse_writes
from torchcross.functional.trees import Buffers, Params, detach, reuse_unchanged


@dataclass(frozen=True)
class Adapted:
    """The end of an inner loop: all parameters (adapted and fixed), new buffers, support losses."""

    params: Params
    buffers: Buffers
    trace: Tensor


def adapt(problem: Problem, meta: Meta, *, steps: int | None = None) -> Adapted:
    """Run the inner loop and return its end. Pure; memory does not grow with `steps`."""
    inner = problem.inner
    if steps is not None:
        inner = dataclasses.replace(inner, steps=steps, query_weights=None)
    params = detach(meta.params)
    problem = with_initial_params(dataclasses.replace(problem, inner=inner), params, meta.buffers)
    start = start_of(problem, params, meta.rates, meta.buffers)
    rates = {**start.rates, **detach(start.learned_rates)}
    start = dataclasses.replace(start, rates=rates, adapted=detach(start.adapted))
    loop = Loop(inner, start, problem.data, Autograd())
    # Copies: steps in place must not reach the tensors of `meta`.
    state, losses = loop.begin().copy(), []
    with (
        refuse_writes(meta.params),
        explain_torch_errors(problem.name, "first_order"),
        torch.no_grad(),
    ):
        for k in range(inner.steps):
            state, loss = loop.step_in_place(state, k)
            losses.append(loss)
    trace = torch.stack(losses) if losses else torch.zeros(0)
    refuse_divergence(problem, trace, {f"after step {inner.steps} parameter": state.params})
    buffers = reuse_unchanged(state.buffers, meta.buffers)
    return Adapted({**start.fixed, **state.params}, buffers, trace)
