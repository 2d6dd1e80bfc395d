"""`implicit`: the gradient of the solution of the proximal inner problem (iMAML).

Rajeswaran et al. 2019. The solution theta* of min L(theta) + s/2 |theta - phi|^2 satisfies
grad L(theta*) + s (theta* - phi) = 0. Differentiated by phi, with H the Hessian of L at theta*:
(H + s I) d theta* / d phi = s I. So the meta-gradient is x with (I + H/s) x = d query / d theta*,
and H is needed in products with vectors alone.
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
from torchcross.functional.loop.engines.loop import Loop, LoopResult, LoopState
from torchcross.functional.loop.problem import Inner
from torchcross.functional.trees import Buffers, Data, Params, floating, inside_transform, zeros


@dataclass(frozen=True)
class Implicit:
    """The gradient through theta* = argmin L(theta) + strength/2 |theta - phi|^2.

    Exact where the inner steps reach theta* and conjugate gradients converge; `residual` in the
    result shows whether they did. Rates get zero gradients (theta* does not depend on them), and
    statistics are constants.

    >>> from torchcross.algorithms import IMAML
    >>> from torchcross.backbones import conv4
    >>> from torchcross.functional import Implicit
    >>> algorithm = IMAML(conv4(8, in_channels=1), steps=5, strength=2.0)
    >>> Implicit(strength=2.0).order
    2
    """

    strength: float = 1.0
    iterations: int = 10
    tolerance: float = 1e-6
    name: str = "implicit"
    order: int = 2

    def __post_init__(self) -> None:
        is_whole = isinstance(self.iterations, int) and not isinstance(self.iterations, bool)
        if not (self.strength > 0 and is_whole and self.iterations > 0 and self.tolerance >= 0):
            raise InputError(
                "implicit needs strength > 0, a whole number of iterations > 0 and tolerance >= 0,"
                f" not ({self.strength}, {self.iterations}, {self.tolerance})."
            )

    def __call__(self, loop: Loop) -> LoopResult:
        proximal = self.proximal_loop(loop)
        state, losses = proximal.begin(), []
        for k in range(loop.inner.steps):
            state, loss = proximal.step(state, k, keep=False)
            losses.append(loss)
        loss, buffers, grads = _query_gradient(loop, state)
        solution, through, residual = self._solve(loop, state, grads["params"])
        # theta* moves with a fixed parameter f by -(H + s I)^-1 d grad L / d f.
        fixed = {
            name: grad - through[name] / self.strength for name, grad in grads["fixed"].items()
        }
        rates, trace = zeros(loop.start.learned_rates), torch.stack([*losses, loss])
        return LoopResult(loss, solution, fixed, rates, buffers, trace, residual)

    def proximal_loop(self, loop: Loop) -> Loop:
        """The loop of the proximal problem, checked: the one whose solution is differentiated."""
        if loop.inner.query_weights is not None:
            raise InputError("engine 'implicit' sees the solution alone; leave query_weights out.")
        if loop.inner.optimiser.weight_decay:
            raise InputError(
                "engine 'implicit' differentiates the solution of the proximal problem, and weight"
                " decay moves the steps to another one; leave weight_decay out, or add the penalty"
                " to the support loss."
            )
        return dataclasses.replace(loop, inner=self._proximal_inner(loop.inner, loop.start.adapted))

    def _proximal_inner(self, inner: Inner, anchor: Params) -> Inner:
        def support(
            params: Params, buffers: Buffers, data: Data, step: int
        ) -> tuple[Tensor, Buffers]:
            loss, fresh = inner.support(params, buffers, data, step)
            distance = sum(
                (params[name] - value.detach()).square().sum() for name, value in anchor.items()
            )
            return loss + 0.5 * self.strength * distance, fresh

        return dataclasses.replace(inner, support=support)

    def _solve(self, loop: Loop, state: LoopState, target: Params) -> tuple[Params, Params, Tensor]:
        """(x, d <x, gradient> / d fixed, relative residual)."""

        def gradient(tree: Tree) -> tuple[Params, Any]:
            def support_loss(params: Params) -> tuple[Tensor, Any]:
                everything = {**loop.start.fixed, **tree["fixed"], **params}
                return loop.inner.support(everything, state.buffers, loop.data, loop.inner.steps)

            grads, _, _ = loop.calculus.gradient(
                support_loss, tree["params"], keep=True, inspect=True
            )
            return grads, ()

        # The graph of the gradient is kept: each product with H is one more pass over it.
        at = {"params": state.params, "fixed": floating(loop.start.fixed)}
        _, _, pull = loop.calculus.pullback(gradient, at, reuse=True)

        def product(x: Params) -> Params:
            return {
                name: x[name] + part / self.strength for name, part in pull(x)["params"].items()
            }

        solution, residual = _conjugate_gradient(product, target, self.iterations, self.tolerance)
        return solution, pull(solution)["fixed"], residual


def _query_gradient(loop: Loop, state: LoopState) -> tuple[Tensor, Buffers, Tree]:
    """(query loss, new buffers, its gradient by the adapted and the fixed parameters)."""

    def query(tree: Tree) -> tuple[Tensor, Buffers]:
        here = LoopState(tree["params"], state.opt, state.buffers)
        return loop.with_tree({"fixed": tree["fixed"]}).query_loss(here, loop.inner.steps)

    at = {"params": state.params, "fixed": floating(loop.start.fixed)}
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
        # Under vmap no value can be looked at; steps after convergence change nothing (`_ratio`).
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
