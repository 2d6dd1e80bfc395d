"""`reverse` and `first_order`: autograd through the unrolled loop, with and without second
derivatives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from torchcross.functional.loop.derivatives import Tree
from torchcross.functional.loop.engines.loop import Loop, Moment, Outcome
from torchcross.functional.loop.engines.shared_first_steps import shared_start
from torchcross.functional.trees import Buffers, detached, views


@dataclass(frozen=True)
class Reverse:
    """Exact: reverse over reverse, the graph of all inner steps kept."""

    name: str = "reverse"
    order: int = 2

    def __call__(self, loop: Loop) -> Outcome:
        return _through(loop, keep=True)


@dataclass(frozen=True)
class FirstOrder:
    """Inner gradients as constants (Finn et al. 2017, section 5.2)."""

    name: str = "first_order"
    order: int = 1

    def __call__(self, loop: Loop) -> Outcome:
        return _through(loop, keep=False)


def _through(loop: Loop, *, keep: bool) -> Outcome:
    def total(tree: Tree) -> tuple[torch.Tensor, tuple[Buffers, torch.Tensor]]:
        return unrolled(loop.with_tree(tree), keep=keep)

    loss, (buffers, trace), pull = loop.calculus.pullback(total, loop.tree())
    grads = pull(torch.ones_like(loss))
    return Outcome(loss, grads["adapted"], grads["fixed"], grads["rates"], buffers, trace)


def unrolled(loop: Loop, *, keep: bool) -> tuple[Tensor, tuple[Buffers, Tensor]]:
    """(weighted query loss, (buffers, losses on the way)), differentiable in the loop's tree.

    With `keep=False` inner gradients are constants: the detached loop of first-order MAML.
    """
    losses: list[Tensor] = []
    total: Tensor | None = None
    buffers = loop.start.buffers
    for updates, moment, support_loss in moments_of(loop, keep=keep):
        if support_loss is not None:
            losses.append(support_loss.detach())
        weight = loop.inner.weight_after(updates)
        if weight or updates == loop.inner.steps:
            query, buffers = loop.query_loss(moment, updates)
            part = query if weight == 1.0 else query * weight
            total = part if total is None else total + part
            last = query
    assert total is not None
    return total, (buffers, torch.stack([*losses, last.detach()]))


def moments_of(loop: Loop, *, keep: bool) -> Iterator[tuple[int, Moment, Tensor | None]]:
    """The loop after 0..steps updates, with the support loss before the update that led there."""
    moment = loop.begin()
    moment = Moment(views(moment.params), moment.opt, moment.buffers)
    yield 0, moment, None
    shared = shared_start(loop, moment, keep=keep)
    first = list(shared.first_two(moment)) if shared is not None else []
    for k, (after, loss) in enumerate(first):
        moment = after
        yield k + 1, moment, loss
    for k in range(len(first), loop.inner.steps):
        moment, loss = _step(loop, moment, k, keep=keep)
        yield k + 1, moment, loss


def _step(loop: Loop, moment: Moment, k: int, *, keep: bool) -> tuple[Moment, Tensor]:
    if keep:
        return loop.step(moment, k, keep=True)
    return loop.step(Moment(moment.params, moment.opt, detached(moment.buffers)), k, keep=False)
