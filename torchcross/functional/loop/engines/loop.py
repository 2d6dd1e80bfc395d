"""One inner step, one query, and the unrolled whole: what every engine is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchcross.functional.loop.derivatives import Calculus, Tree
from torchcross.functional.loop.optimisers import OptState, Rate, one_rate
from torchcross.functional.loop.problem import Inner, Start
from torchcross.functional.trees import Buffers, Data, Params, detached, floating, views


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


def owned(moment: Moment) -> Moment:
    """The same with parameters and state in tensors of their own, each in one of its own."""
    return Moment(_copies(moment.params), _copies(moment.opt), moment.buffers)


def _copies(tree: Params) -> Params:
    return {name: value.detach().clone() for name, value in tree.items()}


def _laid_out_as(like: Tensor, value: Tensor) -> Tensor:
    """Fused kernels walk memory: a gradient with other strides would be another gradient."""
    return value if value.stride() == like.stride() else torch.empty_like(like).copy_(value)


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
        return {
            "adapted": self.start.adapted,
            "fixed": self._fixed(),
            "rates": self.start.learned_rates,
        }

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
        """(the loop after update k, the support loss before it); `keep`: differentiable through the
        gradient.
        """
        moving, still = self.parted(moment.params, k)
        grads, loss, buffers = self.gradient(moment, moving, still, k, keep=keep)
        return self.updated(moment, moving, still, grads, buffers, k), loss

    def move(self, moment: Moment, k: int) -> tuple[Moment, Tensor]:
        """`step` without derivatives, in place where the optimiser can; `moment` must be `owned`,
        and is lost.
        """
        rate, move = one_rate(self.start.rates), self.inner.optimiser.move
        if rate is None or move is None:
            return self.step(moment, k, keep=False)
        moving, still = self.parted(moment.params, k)
        grads, loss, buffers = self.gradient(moment, moving, still, k, keep=False)
        if moving:
            move(
                {name: _laid_out_as(moving[name], grad) for name, grad in grads.items()},
                moment.opt,
                moving,
                rate,
                k,
            )
        return Moment(moment.params, moment.opt, buffers), loss

    def gradient(
        self, moment: Moment, moving: Params, still: Params, k: int, *, keep: bool
    ) -> tuple[Params, Tensor, Buffers]:
        """(inner gradient, support loss, new buffers)."""
        seen = still if keep else detached(still)
        fixed = self.start.fixed if keep else detached(self.start.fixed)

        def loss_of(params: Params) -> tuple[Tensor, Any]:
            return self.inner.support({**fixed, **seen, **params}, moment.buffers, self.data, k)

        # After a zero head's short first step the second is the first with a whole graph.
        inspect = keep and k == min(1, self.inner.steps - 1)
        return self.calculus.gradient(loss_of, moving, keep=keep, inspect=inspect)

    def parted(self, params: Params, k: int) -> tuple[Params, Params]:
        """(what update k moves, what it leaves): with a zero head the first update moves the head
        alone.
        """
        if k or not self.start.head:
            return params, {}
        head = self.start.head
        moving = {name: value for name, value in params.items() if name in head}
        return moving, {name: value for name, value in params.items() if name not in head}

    def updated(
        self, moment: Moment, moving: Params, still: Params, grads: Params, buffers: Buffers, k: int
    ) -> Moment:
        moved, opt = self.inner.optimiser.update(grads, moment.opt, moving, self.start.rates, k)
        # Views: the next gradient is taken with respect to new tensors, or it would be a total
        # derivative.
        merged = {**views(still), **moved}
        return Moment({name: merged[name] for name in moment.params}, opt, buffers)
