"""`recompute` and `mixed`: the forward pass keeps the parameters of each inner step and nothing else.

The outer backward rebuilds one step at a time. With cotangents (p', o', s') of the parameters, optimiser state and
statistics after a step, and G = d update / d gradient transposed applied to (p', o'), the step's pullback is

    d update / d params  +  d/dt grad [L + t <s', statistics>] (params + t G)   at t = 0,

a Hessian-vector product: reverse over reverse in `recompute` (faster), forward over reverse in `mixed` (arXiv
2505.00793). Which needs less memory depends on the network: `estimate` tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchcross.functional._calculus import Tree
from torchcross.functional._types import Buffers, Params, blanks, floating
from torchcross.functional.engines.step import Loop, Moment, Outcome

Direction = Callable[[Params], Params]
Product = Callable[[Loop, Moment, int, Direction, Params], tuple[Params, Tree]]
"""(..., inner gradient -> direction, statistics') -> (inner gradient, its slope along the direction)."""


@dataclass(frozen=True)
class Recompute:
    """Exact and lean: each step rebuilt, reverse over reverse."""

    name: str = "recompute"
    order: int = 2

    def __call__(self, loop: Loop) -> Outcome:
        return _walk_back(loop, _reverse_over_reverse)


@dataclass(frozen=True)
class Mixed:
    """Exact and lean: each step rebuilt, forward over reverse; which of the two is leaner depends on the network."""

    name: str = "mixed"
    order: int = 2

    def __call__(self, loop: Loop) -> Outcome:
        return _walk_back(loop, _forward_over_reverse)


def _walk_back(loop: Loop, product: Product) -> Outcome:
    moments, losses = _walk(loop)
    shared: Tree = {name: {} for name in loop.tree() if name != "adapted"}
    back: Tree = {name: {} for name in moments[-1].tree()}
    total, buffers, last = None, loop.start.buffers, None
    for updates in range(loop.inner.steps, -1, -1):
        if updates < loop.inner.steps:
            back, shared = _split(_pull_step(loop, moments[-1], updates, back, product), shared)
        weight = loop.inner.weight_after(updates)
        if weight or updates == loop.inner.steps:
            loss, fresh, grads = _query_gradient(loop, moments[-1], updates, weight)
            if last is None:
                last, buffers = loss, fresh
            total = loss * weight if total is None else total + loss * weight
            back = {name: _added(part, grads.get(name, {})) for name, part in back.items()}
            shared["fixed"] = _added(shared["fixed"], grads["fixed"])
            del grads
        moments.pop()
    assert total is not None
    assert last is not None
    return _outcome(loop, total, back, shared, buffers, torch.stack([*losses, last]))


def _walk(loop: Loop) -> tuple[list[Moment], list[Tensor]]:
    """Every moment of the loop, and the support losses between them."""
    moments, losses = [loop.begin()], []
    for k in range(loop.inner.steps):
        moment, loss = loop.step(moments[-1], k, keep=False)
        moments.append(moment)
        losses.append(loss.detach())
    return moments, losses


def _outcome(loop: Loop, total: Tensor, back: Tree, shared: Tree, buffers: Buffers, trace: Tensor) -> Outcome:
    found = {**shared, "adapted": back["params"]}
    whole = {
        part: {
            name: found[part][name] if name in found[part] else torch.zeros_like(value) for name, value in of.items()
        }
        for part, of in loop.tree().items()
    }
    return Outcome(total, whole["adapted"], whole["fixed"], whole["rates"], buffers, trace)


def _split(grads: Tree, shared: Tree) -> tuple[Tree, Tree]:
    added = {name: _added(part, grads[name]) for name, part in shared.items()}
    return {name: part for name, part in grads.items() if name not in shared}, added


def _added(left: Params, right: Params) -> Params:
    """The sum; a name that is missing adds nothing. `right` is emptied on the way: its memory is needed."""
    total = {name: value + right.pop(name) if name in right else value for name, value in left.items()}
    return {**total, **right}


def _query_gradient(loop: Loop, moment: Moment, updates: int, weight: float) -> tuple[Tensor, Buffers, Tree]:
    def query(tree: Tree) -> tuple[Tensor, Buffers]:
        return loop.with_tree({**_NOTHING, "fixed": tree["fixed"]}).query_loss(_moment(moment, tree), updates)

    loss, buffers, pull = loop.calculus.pullback(query, _place(loop, moment))
    return loss, buffers, pull(torch.full_like(loss, weight))


_NOTHING: Tree = {"fixed": {}, "rates": {}}


def _place(loop: Loop, moment: Moment) -> Tree:
    """What a loss at this moment depends on."""
    return {
        "params": moment.params,
        "buffers": floating(moment.buffers),
        "fixed": floating(loop.start.fixed),
    }


def _moment(moment: Moment, tree: Tree) -> Moment:
    return moment.with_tree({"opt": moment.opt, **tree})


def _pull_step(loop: Loop, moment: Moment, k: int, back: Tree, product: Product) -> Tree:
    moving, still = loop.parted(moment.params, k)
    pull = _pull_update(loop, moment, still, k)
    grads, slopes = product(loop, moment, k, lambda grads: pull(grads, back)["grads"], back["buffers"])
    through = pull({name: grads[name] for name in moving}, back)
    return {
        "params": _added(through["params"], slopes["params"]),
        "opt": through["opt"],
        "buffers": slopes["buffers"],
        "fixed": slopes["fixed"],
        "rates": through["rates"],
    }


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
        return pullback({part: {**blanks(at[part]), **back[part]} for part in ("params", "opt")})

    return pull


def _direction_is_known(loop: Loop) -> bool:
    """Whether the direction does not depend on the inner gradient."""
    return loop.inner.optimiser.linear


def _gradient_is_needed(loop: Loop) -> bool:
    """Whether the update's pullback depends on the inner gradient's value."""
    return not loop.inner.optimiser.linear or bool(loop.start.learned_rates)


def _reverse_over_reverse(
    loop: Loop, moment: Moment, k: int, direction_of: Direction, statistics: Params
) -> tuple[Params, Tree]:
    moving, _ = loop.parted(moment.params, k)

    def gradient(tree: Tree) -> tuple[Tree, Any]:
        inside = loop.with_tree({**_NOTHING, "fixed": tree["fixed"]})
        here = _moment(moment, tree)
        grads, _, buffers = inside.gradient(here, *inside.parted(here.params, k), k, keep=True)
        return {"grads": grads, "buffers": floating(buffers)}, ()

    value, _, pull = loop.calculus.pullback(gradient, _place(loop, moment))
    statistics = {**blanks(value["buffers"]), **statistics}
    grads = value.pop("grads") if _gradient_is_needed(loop) else blanks(moving)
    del value
    return grads, pull({"grads": direction_of(grads), "buffers": statistics})


def _forward_over_reverse(
    loop: Loop, moment: Moment, k: int, direction_of: Direction, statistics: Params
) -> tuple[Params, Tree]:
    """One forward pass over one reverse pass: the cotangent of the statistics is a dual number with tangent alone."""
    moving, still = loop.parted(moment.params, k)
    guess = blanks(moving)
    if not _direction_is_known(loop):
        guess, _, _ = loop.gradient(moment, moving, still, k, keep=False)

    def loss_of(tree: Tree, weights: Params) -> Tensor:
        everything = {**loop.start.fixed, **tree["fixed"], **tree["params"]}
        loss, fresh = loop.inner.support(everything, {**moment.buffers, **tree["buffers"]}, loop.data, k)
        return loss + sum((weight * fresh[name]).sum() for name, weight in weights.items())

    along = {"params": direction_of(guess)}
    del guess
    value = _gradient_is_needed(loop)
    grads, slopes = loop.calculus.gradient_along(loss_of, _place(loop, moment), along, statistics, value=value)
    return {name: grads["params"][name] for name in moving}, slopes
