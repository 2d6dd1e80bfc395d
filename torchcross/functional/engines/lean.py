"""`recompute` and `mixed`: the forward pass keeps the parameters of each inner step and nothing else.

The outer backward rebuilds one step at a time. With cotangents (p', o', s') of the parameters, optimiser state and
statistics after a step, and G = d update / d gradient transposed applied to (p', o'), the step's pullback is

    d update / d params  +  d/dt grad [L + t <s', statistics>] (params + t G)   at t = 0,

a Hessian-vector product: reverse over reverse in `recompute` (faster), forward over reverse in `mixed` (leaner;
arXiv 2505.00793).
"""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from torchcross.functional._calculus import Tree
from torchcross.functional._types import Buffers, Params, blanks, floating, zeros
from torchcross.functional.engines.step import Loop, Moment, Outcome

StepPullback = Callable[[Loop, Moment, int, Tree], Tree]


@dataclass(frozen=True)
class Recompute:
    """Exact and lean: each step rebuilt, reverse over reverse."""

    name: str = "recompute"
    order: int = 2

    def __call__(self, loop: Loop) -> Outcome:
        return _walk_back(loop, _reverse_over_reverse)


@dataclass(frozen=True)
class Mixed:
    """Exact and leanest: each step rebuilt, forward over reverse."""

    name: str = "mixed"
    order: int = 2

    def __call__(self, loop: Loop) -> Outcome:
        return _walk_back(loop, _forward_over_reverse)


def _walk_back(loop: Loop, pull_step: StepPullback) -> Outcome:
    moments, losses = [loop.begin()], []
    for k in range(loop.inner.steps):
        moment, loss = loop.step(moments[-1], k, keep=False)
        moments.append(moment)
        losses.append(loss.detach())
    shared = {name: zeros(part) for name, part in loop.tree().items() if name != "adapted"}
    back = {name: zeros(part) for name, part in moments[-1].tree().items()}
    total, buffers, last = None, loop.start.buffers, None
    for updates in range(loop.inner.steps, -1, -1):
        moment = moments.pop()
        if updates < loop.inner.steps:
            grads = pull_step(loop, moment, updates, back)
            back, shared = _split(grads, shared)
        weight = loop.inner.weight_after(updates)
        if weight or updates == loop.inner.steps:
            loss, fresh, grads = _query_gradient(loop, moment, updates, weight)
            if last is None:
                last, buffers = loss, fresh
            total = loss * weight if total is None else total + loss * weight
            back = {name: _added(part, grads.get(name, {})) for name, part in back.items()}
            shared["fixed"] = _added(shared["fixed"], grads["fixed"])
    assert total is not None
    assert last is not None
    trace = torch.stack([*losses, last])
    return Outcome(total, back["params"], shared["fixed"], shared["rates"], buffers, trace)


def _split(grads: Tree, shared: Tree) -> tuple[Tree, Tree]:
    added = {name: _added(part, grads[name]) for name, part in shared.items()}
    return {name: part for name, part in grads.items() if name not in shared}, added


def _added(left: Params, right: Params) -> Params:
    return {name: value + right[name] if name in right else value for name, value in left.items()}


def _query_gradient(loop: Loop, moment: Moment, updates: int, weight: float) -> tuple[Tensor, Buffers, Tree]:
    def query(tree: Tree) -> tuple[Tensor, Buffers]:
        return loop.with_tree({**_NOTHING, "fixed": tree["fixed"]}).query_loss(_moment(moment, tree), updates)

    at = {
        "params": moment.params,
        "buffers": floating(moment.buffers),
        "fixed": floating(loop.start.fixed),
    }
    loss, buffers, pull = loop.calculus.pullback(query, at)
    return loss, buffers, pull(torch.full_like(loss, weight))


_NOTHING: Tree = {"fixed": {}, "rates": {}}


def _moment(moment: Moment, tree: Tree) -> Moment:
    return moment.with_tree({"opt": moment.opt, **tree})


def _reverse_over_reverse(loop: Loop, moment: Moment, k: int, back: Tree) -> Tree:
    def step(tree: Tree) -> tuple[Tree, Any]:
        inside = loop.with_tree({"fixed": tree["fixed"], "rates": tree["rates"]})
        after, _ = inside.step(_moment(moment, {name: tree[name] for name in back}), k, keep=True)
        return after.tree(), ()

    at = {**moment.tree(), "fixed": floating(loop.start.fixed), "rates": loop.start.learned_rates}
    _, _, pull = loop.calculus.pullback(step, at)
    return pull(back)


def _forward_over_reverse(loop: Loop, moment: Moment, k: int, back: Tree) -> Tree:
    moving, still = loop.parted(moment.params, k)
    if loop.inner.optimiser.linear:
        guess = blanks(moving)
    else:
        guess, _, _ = loop.calculus.gradient(_support_loss(loop, moment, still, k), moving, keep=False)
    pull = _pull_update(loop, moment, still, k)
    direction = pull(guess, back)["grads"]
    del guess
    grads, slopes = _hessian_product(loop, moment, moving, still, k, direction, back["buffers"])
    del direction
    through = pull(grads, back)
    return {
        "params": _added(through["params"], slopes["params"]),
        "opt": through["opt"],
        "buffers": slopes["buffers"],
        "fixed": slopes["fixed"],
        "rates": through["rates"],
    }


def _support_loss(loop: Loop, moment: Moment, still: Params, k: int) -> Callable[[Params], tuple[Tensor, Buffers]]:
    def loss_of(params: Params) -> tuple[Tensor, Buffers]:
        everything = {**loop.start.fixed, **still, **params}
        return loop.inner.support(everything, moment.buffers, loop.data, k)

    return loss_of


def _pull_update(loop: Loop, moment: Moment, still: Params, k: int) -> Callable[[Params, Tree], Tree]:
    """The pullback of the optimiser's update alone, at a given gradient: elementwise work."""

    def pull(grads: Params, back: Tree) -> Tree:
        def update(tree: Tree) -> tuple[Any, Any]:
            inside = loop.with_tree({"fixed": {}, "rates": tree["rates"]})
            here = Moment(tree["params"], tree["opt"], {})
            moving = {name: here.params[name] for name in grads}
            rest = {name: here.params[name] for name in still}
            after = inside.updated(here, moving, rest, tree["grads"], {}, k)
            return {"params": after.params, "opt": after.opt}, ()

        at = {"params": moment.params, "opt": moment.opt, "rates": loop.start.learned_rates, "grads": grads}
        _, _, pullback = loop.calculus.pullback(update, at)
        return pullback({"params": back["params"], "opt": back["opt"]})

    return pull


def _hessian_product(
    loop: Loop, moment: Moment, moving: Params, still: Params, k: int, direction: Params, statistics: Params
) -> tuple[Params, Tree]:
    """(inner gradient, d/dt grad [L + t <statistics', new statistics>] along `direction`).

    One forward pass over one reverse pass: the cotangent of the statistics is a dual number with tangent alone.
    """
    at = {
        "params": moment.params,
        "buffers": floating(moment.buffers),
        "fixed": floating(loop.start.fixed),
    }

    def slopes(moving: Params, weights: Params) -> Tree:
        def loss_of(tree: Tree) -> Tensor:
            everything = {**loop.start.fixed, **tree["fixed"], **tree["params"]}
            buffers = {**moment.buffers, **tree["buffers"]}
            loss, fresh = loop.inner.support(everything, buffers, loop.data, k)
            return loss + sum((weight * fresh[name]).sum() for name, weight in weights.items())

        gradient: Tree = torch.func.grad(loss_of)({**at, "params": {**still, **moving}})
        return gradient

    _load_forward_rules()
    zero = zeros(statistics)
    primals, tangents = (moving, zero), (direction, statistics)
    value, tangent = cast(tuple[Tree, Tree], torch.func.jvp(slopes, primals, tangents))
    grads = {name: value["params"][name] for name in moving}
    return grads, tangent


@functools.cache
def _load_forward_rules() -> None:
    """Import torch's forward-mode rules ahead of their first use: scripting them warns of scripting's end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        importlib.import_module("torch._decomp.decompositions_for_jvp")
