"""One inner step and one query: what every engine is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from torchcross.functional.loop.derivatives import Calculus, Tree
from torchcross.functional.loop.optimisers import OptState, Rate, by_rate
from torchcross.functional.loop.problem import Inner, Start
from torchcross.functional.trees import (
    Buffers,
    Data,
    Params,
    detach,
    floating,
    split_by_name,
    views,
)


@dataclass(frozen=True)
class LoopState:
    """The inner loop between two steps."""

    params: Params
    opt: OptState
    buffers: Buffers

    def copy(self) -> LoopState:
        """The same, with parameters and optimiser state in new tensors."""
        return LoopState(_copies(self.params), _copies(self.opt), self.buffers)


def _copies(tree: Params) -> Params:
    return {name: value.detach().clone() for name, value in tree.items()}


def _match_strides(value: Tensor, like: Tensor) -> Tensor:
    """Fused kernels walk memory: with other strides they would read another gradient."""
    return value if value.stride() == like.stride() else torch.empty_like(like).copy_(value)


@dataclass(frozen=True)
class LoopResult:
    """What an engine returns: the loss, its gradient, new buffers, and the losses on the way."""

    loss: Tensor
    adapted: Params
    fixed: Params
    rates: Params
    buffers: Buffers
    trace: Tensor
    residual: Tensor | None = None


@dataclass(frozen=True)
class Loop:
    """An inner loop with its data: what an engine runs."""

    inner: Inner
    start: Start
    data: Data
    calculus: Calculus

    def begin(self) -> LoopState:
        start = self.start
        return LoopState(start.adapted, self.inner.optimiser.init(start.adapted), start.buffers)

    def tree(self) -> Tree:
        """The tensors of which the meta-gradient is taken."""
        return {
            "adapted": self.start.adapted,
            "fixed": floating(self.start.fixed),
            "rates": self.start.learned_rates,
        }

    def with_tree(self, tree: Tree) -> Loop:
        """The same loop with the tensors of `tree`, which may lack parts, in place of its own."""
        start = self.start
        rates: dict[str, Rate] = {**start.rates, **tree.get("rates", {})}
        fixed = {**start.fixed, **tree.get("fixed", {})}
        adapted = tree.get("adapted", start.adapted)
        return replace(self, start=replace(start, adapted=adapted, fixed=fixed, rates=rates))

    def query_loss(self, state: LoopState, updates: int) -> tuple[Tensor, Buffers]:
        params = {**self.start.fixed, **state.params}
        return self.inner.query(params, state.buffers, self.data, updates)

    def step(self, state: LoopState, k: int, *, keep: bool) -> tuple[LoopState, Tensor]:
        """(the loop after update k, the support loss before it).

        `keep`: differentiable through the inner gradient.
        """
        moving, still = self.split_moving(state.params, k)
        grads, loss, buffers = self.gradient(state, moving, still, k, keep=keep)
        return self.update(state, moving, still, grads, buffers, k), loss

    def step_in_place(self, state: LoopState, k: int) -> tuple[LoopState, Tensor]:
        """`step` without derivatives, in place where the optimiser can: `state` is lost."""
        move = self.inner.optimiser.move
        groups = by_rate(state.params, self.start.rates)
        if groups is None or move is None:
            return self.step(state, k, keep=False)
        moving, still = self.split_moving(state.params, k)
        grads, loss, buffers = self.gradient(state, moving, still, k, keep=False)
        grads = {name: _match_strides(grad, moving[name]) for name, grad in grads.items()}
        for rate, names in groups.items():
            group = {name: grads[name] for name in names if name in moving}
            if group:
                move(group, state.opt, moving, rate, k)
        return LoopState(state.params, state.opt, buffers), loss

    def gradient(
        self, state: LoopState, moving: Params, still: Params, k: int, *, keep: bool
    ) -> tuple[Params, Tensor, Buffers]:
        """(inner gradient, support loss, new buffers)."""
        rest = {**self.start.fixed, **still}
        if not keep:
            rest = detach(rest)

        def support_loss(params: Params) -> tuple[Tensor, Any]:
            return self.inner.support({**rest, **params}, state.buffers, self.data, k)

        # One step's graph is inspected. After a zero head that is the second: the first moves the
        # head alone, and its graph lacks the backbone.
        inspect = keep and k == min(1, self.inner.steps - 1)
        return self.calculus.gradient(support_loss, moving, keep=keep, inspect=inspect)

    def split_moving(self, params: Params, k: int) -> tuple[Params, Params]:
        """(what update k moves, the rest): with a zero head, the first update moves the head alone.

        The other parameters have a first gradient of exactly zero, for the logits do not depend on
        them while the head is zero.
        """
        if k or not self.start.head:
            return params, {}
        return split_by_name(params, self.start.head)

    def update(
        self,
        state: LoopState,
        moving: Params,
        still: Params,
        grads: Params,
        buffers: Buffers,
        k: int,
    ) -> LoopState:
        moved, opt = self.inner.optimiser.update(grads, state.opt, moving, self.start.rates, k)
        # Views, for a tensor of the step before would make the next inner gradient a total
        # derivative: it would run through that step as well.
        merged = {**views(still), **moved}
        return LoopState({name: merged[name] for name in state.params}, opt, buffers)
