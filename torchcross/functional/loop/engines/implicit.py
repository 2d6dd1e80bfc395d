"""`implicit`: the gradient of the proximal inner problem's solution (iMAML, Rajeswaran et al.
2019).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchcross.errors import InputError
from torchcross.functional.loop.derivatives import Tree
from torchcross.functional.loop.engines.loop import Loop, Moment, Outcome
from torchcross.functional.loop.problem import Inner
from torchcross.functional.trees import Buffers, Data, Params, floating, inside_transform, zeros


@dataclass(frozen=True)
class Implicit:
    """theta* = argmin L(theta) + strength/2 |theta - phi|^2; the gradient solves (I + H/strength) x
    = d query.

    Exact where the inner steps reach theta* and conjugate gradients converge: `residual` in the
    result tells the latter. Rates get zero gradients (theta* does not depend on them), and
    statistics are constants.
    """

    strength: float = 1.0
    iterations: int = 10
    tolerance: float = 1e-6
    name: str = "implicit"
    order: int = 2

    def __post_init__(self) -> None:
        if not (self.strength > 0 and self.iterations > 0 and self.tolerance >= 0):
            raise InputError(
                "implicit needs strength > 0, iterations > 0 and tolerance >= 0, not"
                f" ({self.strength}, {self.iterations}, {self.tolerance})."
            )

    def __call__(self, loop: Loop) -> Outcome:
        if loop.inner.query_weights is not None:
            raise InputError("engine 'implicit' sees the solution alone; leave query_weights out.")
        near = dataclasses.replace(loop, inner=self._proximal(loop.inner, loop.start.adapted))
        moment, losses = near.begin(), []
        for k in range(loop.inner.steps):
            moment, loss = near.step(moment, k, keep=False)
            losses.append(loss)
        loss, buffers, grads = _query(loop, moment)
        solution, through, residual = self._solve(loop, moment, grads["params"])
        fixed = {
            name: grad - through[name] / self.strength for name, grad in grads["fixed"].items()
        }
        rates = zeros(loop.start.learned_rates)
        return Outcome(
            loss, solution, fixed, rates, buffers, torch.stack([*losses, loss]), residual
        )

    def _proximal(self, inner: Inner, anchor: Params) -> Inner:
        def support(
            params: Params, buffers: Buffers, data: Data, step: int
        ) -> tuple[Tensor, Buffers]:
            loss, fresh = inner.support(params, buffers, data, step)
            apart = sum(
                (params[name] - value.detach()).square().sum() for name, value in anchor.items()
            )
            return loss + 0.5 * self.strength * apart, fresh

        return dataclasses.replace(inner, support=support)

    def _solve(self, loop: Loop, moment: Moment, target: Params) -> tuple[Params, Params, Tensor]:
        """(x, d <x, gradient> / d fixed, relative residual)."""

        def gradient(tree: Tree) -> tuple[Params, Any]:
            def loss_of(params: Params) -> tuple[Tensor, Any]:
                everything = {**loop.start.fixed, **tree["fixed"], **params}
                return loop.inner.support(everything, moment.buffers, loop.data, loop.inner.steps)

            grads, _, _ = loop.calculus.gradient(loss_of, tree["params"], keep=True, inspect=True)
            return grads, ()

        at = {"params": moment.params, "fixed": floating(loop.start.fixed)}
        _, _, pull = loop.calculus.pullback(gradient, at, reuse=True)

        def product(x: Params) -> Params:
            return {
                name: x[name] + part / self.strength for name, part in pull(x)["params"].items()
            }

        solution, residual = _conjugate_gradient(product, target, self.iterations, self.tolerance)
        return solution, pull(solution)["fixed"], residual


def _query(loop: Loop, moment: Moment) -> tuple[Tensor, Buffers, Tree]:
    def query(tree: Tree) -> tuple[Tensor, Buffers]:
        here = Moment(tree["params"], moment.opt, moment.buffers)
        return loop.with_tree({"fixed": tree["fixed"], "rates": {}}).query_loss(
            here, loop.inner.steps
        )

    at = {"params": moment.params, "fixed": floating(loop.start.fixed)}
    loss, buffers, pull = loop.calculus.pullback(query, at)
    return loss, buffers, pull(torch.ones_like(loss))


def _conjugate_gradient(
    product: Callable[[Params], Params], target: Params, iterations: int, tolerance: float
) -> tuple[Params, Tensor]:
    """Solve `product(x) = target` (Hestenes & Stiefel 1952), from zero."""
    x, residual = zeros(target), dict(target)
    direction, size = dict(target), _dot(target, target)
    scale = size
    for _ in range(iterations):
        if not inside_transform() and bool(size <= tolerance**2 * scale):
            break
        image = product(direction)
        step = _ratio(size, _dot(direction, image))
        x = {name: value + step * direction[name] for name, value in x.items()}
        residual = {name: value - step * image[name] for name, value in residual.items()}
        before, size = size, _dot(residual, residual)
        turn = _ratio(size, before)
        direction = {name: value + turn * direction[name] for name, value in residual.items()}
    return x, _ratio(size, scale).sqrt()


def _dot(left: Params, right: Params) -> Tensor:
    if not left:
        return torch.zeros(())
    return torch.stack([(value * right[name]).sum() for name, value in left.items()]).sum()


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """0/0 is 0: a solved system stays solved."""
    empty = below == 0
    return torch.where(empty, 0.0, above / torch.where(empty, 1.0, below))
