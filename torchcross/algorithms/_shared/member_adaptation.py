"""Adaptation of one episode at several rates: what the members of an ensemble have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from torchcross.functional import Adapted, Meta, Problem, adapt
from torchcross.functional.loop.problem import with_initial_params
from torchcross.functional.trees import detach


def adapt_members(
    problem: Problem, metas: Sequence[Meta], *, keep_graph: bool = False
) -> list[Adapted]:
    """The end of the inner loop at the rates of each of `metas`, which differ in nothing else.

    What the episode computes before its first step (features, a head made of them) is computed
    once.
    """
    first = metas[0]
    started = with_initial_params(
        problem, detach(first.params), first.buffers, keep_graph=keep_graph
    )
    started = dataclasses.replace(started, inner=dataclasses.replace(problem.inner, init=None))
    return [adapt(started, meta, keep_graph=keep_graph) for meta in metas]
