"""One inner step, one query, and the unrolled whole: what every engine is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchcross.functional._calculus import Calculus, Tree
from torchcross.functional._types import Buffers, Data, Params, detached, floating, views
from torchcross.functional.optim import OptState, Rate
from torchcross.functional.problem import Inner, Start


@dataclass(frozen=True)
class Moment:
    """The inner loop between two steps."""

    params: Params
    opt: OptState
    buffers: Buffers

    def tree(self) -> Tree:
        """What is differentiated of it: whole-number buffers are carried and not differentiated."""
        return {"params": self.params, "opt": self.opt, "buffers": floating(self.buffers)}

    def with_tree(self, tree: Tree) -> Moment:
        return Moment(tree["params"], tree["opt"], {**self.buffers, **tree["buffers"]})


@dataclass(frozen=True)
class Outcome:
    """What an engine hands back: the loss, its gradient, new buffers, and the losses on the way."""

    loss: Tensor
    adapted: Params
    fixed: Params
    rates: Params
    buffers: Buffers
    trace: Tensor
    residual: Tensor | None = None


@dataclass(frozen=True)
class Loop:
    """An inner loop with its data: what an engine gets."""

    inner: Inner
    start: Start
    data: Data
    calculus: Calculus

    def begin(self) -> Moment:
        start = self.start
        return Moment(start.adapted, self.inner.optimiser.init(start.adapted), start.buffers)

    def tree(self) -> Tree:
        """What the meta-gradient is taken of."""
        return {"adapted": self.start.adapted, "fixed": self._fixed(), "rates": self.start.learned_rates}

    def _fixed(self) -> Params:
        return floating(self.start.fixed)

    def with_tree(self, tree: Tree) -> Loop:
        start = self.start
        rates: dict[str, Rate] = {**start.rates, **tree["rates"]}
        fixed = {**start.fixed, **tree["fixed"]}
        moved = Start(tree.get("adapted", start.adapted), fixed, rates, start.buffers, start.head)
        return Loop(self.inner, moved, self.data, self.calculus)

    def query_loss(self, moment: Moment, updates: int) -> tuple[Tensor, Buffers]:
        params = {**self.start.fixed, **moment.params}
        return self.inner.query(params, moment.buffers, self.data, updates)

    def step(self, moment: Moment, k: int, *, keep: bool) -> tuple[Moment, Tensor]:
        """(the loop after update k, the support loss before it); `keep`: differentiable through the gradient."""
        moving, still = self.parted(moment.params, k)

        seen = still if keep else detached(still)
        fixed = self.start.fixed if keep else detached(self.start.fixed)

        def loss_of(params: Params) -> tuple[Tensor, Any]:
            return self.inner.support({**fixed, **seen, **params}, moment.buffers, self.data, k)

        # After a zero head's short first step the second is the first with a whole graph.
        inspect = keep and k == min(1, self.inner.steps - 1)
        grads, loss, buffers = self.calculus.gradient(loss_of, moving, keep=keep, inspect=inspect)
        return self.updated(moment, moving, still, grads, buffers, k), loss

    def parted(self, params: Params, k: int) -> tuple[Params, Params]:
        """(what update k moves, what it leaves): with a zero head the first update moves the head alone."""
        if k or not self.start.head:
            return params, {}
        head = self.start.head
        moving = {name: value for name, value in params.items() if name in head}
        return moving, {name: value for name, value in params.items() if name not in head}

    def updated(self, moment: Moment, moving: Params, still: Params, grads: Params, buffers: Buffers, k: int) -> Moment:
        moved, opt = self.inner.optimiser.update(grads, moment.opt, moving, self.start.rates, k)
        # Views: the next gradient is taken with respect to new tensors, or it would be a total derivative.
        merged = {**views(still), **moved}
        return Moment({name: merged[name] for name in moment.params}, opt, buffers)


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
    for k in range(loop.inner.steps):
        moment, loss = _step(loop, moment, k, keep=keep)
        yield k + 1, moment, loss


def _step(loop: Loop, moment: Moment, k: int, *, keep: bool) -> tuple[Moment, Tensor]:
    if keep:
        return loop.step(moment, k, keep=True)
    return loop.step(Moment(moment.params, moment.opt, detached(moment.buffers)), k, keep=False)
