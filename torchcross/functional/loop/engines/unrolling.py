"""`reverse` and `first_order`: autograd through the unrolled loop."""

from __future__ import annotations

import functools
from abc import ABC
from dataclasses import dataclass

import torch
from torch import Tensor

from torchcross.functional.loop.derivatives import Tree
from torchcross.functional.loop.engines.loop import Loop, LoopResult, LoopState
from torchcross.functional.loop.engines.shared_first_steps import shared_first_steps
from torchcross.functional.trees import Buffers, detach, views


def unrolled_query_loss(
    loop: Loop, tree: Tree, *, keep: bool
) -> tuple[Tensor, tuple[Buffers, Tensor]]:
    """(weighted query loss, (buffers, losses on the way)), differentiable in the loop's `tree`.

    Without `keep`, inner gradients are constants: the detached loop of first-order MAML.
    """
    loop, steps = loop.with_tree(tree), loop.inner.steps
    state = loop.begin()
    buffers = state.buffers if keep else detach(state.buffers)
    # Views: the first inner gradient is partial, with respect to new tensors.
    state = LoopState(views(state.params), state.opt, buffers)
    first = shared_first_steps(loop, state, keep=keep)
    losses: list[Tensor] = []
    weighted: list[Tensor] = []
    for updates in range(steps + 1):
        if updates:
            step = first.pop(0) if first else loop.step(state, updates - 1, keep=keep)
            state, support_loss = step
            losses.append(support_loss.detach())
        weight = loop.inner.weight_after(updates)
        if weight or updates == steps:
            query, buffers = loop.query_loss(state, updates)
            weighted.append(query if weight == 1.0 else query * weight)
    trace = torch.stack([*losses, query.detach()])
    return sum(weighted[1:], weighted[0]), (buffers, trace)


class _Unrolling(ABC):
    """Abstract: one backward through all inner steps, with or without second derivatives."""

    order: int

    def __call__(self, loop: Loop) -> LoopResult:
        query_loss = functools.partial(unrolled_query_loss, loop, keep=self.order > 1)
        loss, (buffers, trace), pull = loop.calculus.pullback(query_loss, loop.tree())
        grads = pull(torch.ones_like(loss))
        return LoopResult(loss, grads["adapted"], grads["fixed"], grads["rates"], buffers, trace)


@dataclass(frozen=True)
class Reverse(_Unrolling):
    """Exact: reverse over reverse, the graph of all inner steps kept.

    >>> from torchcross.functional import Reverse, certify_engine
    >>> all(row.holds for row in certify_engine(Reverse()))
    True
    """

    name: str = "reverse"
    order: int = 2


@dataclass(frozen=True)
class FirstOrder(_Unrolling):
    """Inner gradients as constants (Finn et al. 2017, section 5.2).

    >>> from torchcross.functional import FirstOrder, certify_engine
    >>> all(row.holds for row in certify_engine(FirstOrder()))
    True
    """

    name: str = "first_order"
    order: int = 1
