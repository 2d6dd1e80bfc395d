"""Adaptation of one episode at several rates: what the members of an ensemble have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from torchcross.functional import Adapted, Meta, Problem, adapt
from torchcross.functional.loop.adapt_lanes import adapt_in_lanes
from torchcross.functional.loop.optimisers import Rates
from torchcross.functional.loop.problem import with_initial_params
from torchcross.functional.trees import detach


def adapt_members(
    problem: Problem, meta: Meta, rates: Sequence[Rates], *, width: int = 1, keep_graph: bool
) -> list[Adapted]:
    """The end of the inner loop at each of the rates; `width` of them run at once.

    What the episode computes before its first step (features, a head made of them) is computed
    once.
    """
    params, buffers = meta.params, meta.buffers
    started = with_initial_params(problem, detach(params), buffers, keep_graph=keep_graph)
    started = dataclasses.replace(started, inner=dataclasses.replace(problem.inner, init=None))
    if width == 1 or keep_graph or not started.inner.steps:
        return [
            adapt(started, Meta(params, each, buffers), keep_graph=keep_graph) for each in rates
        ]
    return [
        end
        for at in range(0, len(rates), width)
        for end in adapt_in_lanes(started, params, buffers, rates[at : at + width])
    ]
