"""Plain adaptation of one episode: the end of the inner loop, without a meta-gradient."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import torch
from torch import Tensor

from torchcross.functional.loop.derivatives import Autograd
from torchcross.functional.loop.divergence import refuse_divergence
from torchcross.functional.loop.engines.loop import Loop
from torchcross.functional.loop.optimisers import OptState
from torchcross.functional.loop.problem import Meta, Problem, start_of, with_initial_params
from torchcross.functional.loop.torch_errors import explain_torch_errors
from torchcross.functional.network.attention import second_derivatives
from torchcross.functional.network.purity import refuse_writes
from torchcross.functional.trees import Buffers, Params, detach, reuse_unchanged


@dataclass(frozen=True)
class Adapted:
    """The end of an inner loop.

    params     all of them, adapted and fixed
    buffers    their new values
    trace      the support loss before each step
    optimiser  the state of the optimiser, where one loop ran
    """

    params: Params
    buffers: Buffers
    trace: Tensor
    optimiser: OptState = field(default_factory=dict)


def adapt(
    problem: Problem, meta: Meta, *, steps: int | None = None, keep_graph: bool = False
) -> Adapted:
    """Run the inner loop and return its end. Pure; memory does not grow with `steps`.

    `keep_graph`: the end is differentiable in the tensors of `problem.own` that require gradients
    and are not adapted. Then memory grows with each step.
    """
    inner = problem.inner
    if steps is not None:
        inner = dataclasses.replace(inner, steps=steps, query_weights=None)
    params = detach(meta.params)
    problem = dataclasses.replace(problem, inner=inner)
    problem = with_initial_params(problem, params, meta.buffers, keep_graph=keep_graph)
    start = start_of(problem, params, meta.rates, meta.buffers)
    rates = {**start.rates, **detach(start.learned_rates)}
    adapted = _leaves(start.adapted) if keep_graph else detach(start.adapted)
    loop = Loop(
        inner, dataclasses.replace(start, rates=rates, adapted=adapted), problem.data, Autograd()
    )
    state, losses = loop.begin(), []
    if not keep_graph:
        # Copies: steps in place must not reach the tensors of `meta`.
        state = state.copy()
    with (
        refuse_writes(meta.params),
        explain_torch_errors(problem.name, "reverse" if keep_graph else "first_order"),
        second_derivatives(keep_graph),
        torch.set_grad_enabled(keep_graph),
    ):
        for k in range(inner.steps):
            if keep_graph:
                state, loss = loop.step(state, k, keep=True)
            else:
                state, loss = loop.step_in_place(state, k)
            losses.append(loss.detach())
    trace = torch.stack(losses) if losses else torch.zeros(0)
    refuse_divergence(problem, trace, {f"after step {inner.steps} parameter": state.params})
    buffers = reuse_unchanged(state.buffers, meta.buffers)
    return Adapted({**start.fixed, **state.params}, buffers, trace, state.opt)


def _leaves(tree: Params) -> Params:
    """The same values, each a tensor that gradients can be taken of; those with a graph keep it."""
    return {
        name: value.view_as(value) if value.requires_grad else value.detach().requires_grad_()
        for name, value in tree.items()
    }
