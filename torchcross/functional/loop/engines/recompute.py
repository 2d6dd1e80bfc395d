"""`recompute` and `mixed`: the forward pass keeps parameters of inner steps and nothing else.

The outer backward rebuilds one step at a time. With cotangents (p', o', s') of the parameters,
optimiser state and statistics after a step, and G = d update / d gradient transposed applied to
(p', o'), the step's pullback is

    d update / d params  +  d/dt grad [L + t <s', statistics>] (params + t G)   at t = 0,

a Hessian-vector product: reverse over reverse in `recompute` (faster), forward over reverse in
`mixed` (arXiv 2505.00793). Where the update is p - rate g, G = -rate p', and the cotangents change
in place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchcross.errors import InputError
from torchcross.functional.loop.derivatives import Take, Tree
from torchcross.functional.loop.engines.loop import Loop, Moment, Outcome
from torchcross.functional.loop.optimisers import one_rate
from torchcross.functional.trees import (
    Buffers,
    Params,
    blanks,
    detached,
    floating,
    inside_transform,
    side_by_side,
)

Direction = Callable[[Params], Params]
Product = Callable[[Loop, Moment, int, Direction, Params, Take], Params]
"""(..., inner gradient -> direction, statistics', where its slope along them goes) -> inner
gradient.
"""


@dataclass(frozen=True)
class Recompute:
    """Exact and lean: each step rebuilt, reverse over reverse.

    Of the parameters on the way those after each second inner step are kept (after so many as
    `every` says), and the steps between are taken twice. With `every=1` all are kept: a tenth
    faster, and memory grows by the parameters with each step.
    """

    every: int = 2
    name: str = "recompute"
    order: int = 2

    def __post_init__(self) -> None:
        _check(self.every)

    def __call__(self, loop: Loop) -> Outcome:
        return _walk_back(loop, _reverse_over_reverse, self.every)


@dataclass(frozen=True)
class Mixed:
    """Exact and lean: each step rebuilt, forward over reverse. `every` as in `Recompute`."""

    every: int = 2
    name: str = "mixed"
    order: int = 2

    def __post_init__(self) -> None:
        _check(self.every)

    def __call__(self, loop: Loop) -> Outcome:
        return _walk_back(loop, _forward_over_reverse, self.every)


def _check(every: int) -> None:
    if not isinstance(every, int) or every < 1:
        raise InputError(
            f"every must be a whole number of 1 or more, not {every!r}: it counts inner steps."
        )


def _walk_back(loop: Loop, product: Product, every: int) -> Outcome:
    moments, losses = _walk(loop, every)
    back: Tree = {name: {} for name in ("opt", "buffers", "fixed", "rates")}
    back["params"] = side_by_side(loop.start.adapted)
    total, buffers, last = None, loop.start.buffers, None
    for updates in range(loop.inner.steps, -1, -1):
        moment = _taken_out(loop, moments, updates)
        if updates < loop.inner.steps:
            back = _pull_step(loop, moment, updates, back, product)
        weight = loop.inner.weight_after(updates)
        if weight or updates == loop.inner.steps:
            loss, fresh = _pull_query(loop, moment, updates, weight, back)
            if last is None:
                last, buffers = loss, fresh
            total = loss * weight if total is None else total + loss * weight
        del moment
    assert total is not None
    assert last is not None
    return _outcome(loop, total, back, buffers, torch.stack([*losses, last]))


def _walk(loop: Loop, every: int) -> tuple[dict[int, Moment], list[Tensor]]:
    """The moments that are kept, by the number of updates, and all support losses."""
    moment, losses = loop.begin(), []
    moments = {0: moment}
    # After a zero head's first update most parameters are the first ones: that moment is as good as
    # free.
    first = 1 if loop.start.head else 0
    for k in range(loop.inner.steps):
        moment, loss = _step(loop, moment, k)
        losses.append(loss.detach())
        if k + 1 == loop.inner.steps or (k + 1 - first) % every == 0:
            moments[k + 1] = moment
    return moments, losses


def _taken_out(loop: Loop, moments: dict[int, Moment], updates: int) -> Moment:
    """The moment after so many updates; where it was not kept, by way of those since the last one
    that was.
    """
    while (last := max(moments)) < updates:
        moments[last + 1], _ = _step(loop, moments[last], last)
    return moments.pop(updates)


def _step(loop: Loop, moment: Moment, k: int) -> tuple[Moment, Tensor]:
    """`Loop.step`, in which each parameter is updated as soon as its gradient is there, where the
    optimiser can.
    """
    if not loop.inner.optimiser.descent or inside_transform():
        return loop.step(moment, k, keep=False)
    moving, still = loop.parted(moment.params, k)

    def support(tree: Tree) -> tuple[Tensor, Buffers]:
        everything = {**detached(loop.start.fixed), **detached(still), **tree["moving"]}
        return loop.inner.support(everything, moment.buffers, loop.data, k)

    loss, buffers, pull = loop.calculus.pullback(support, {"moving": moving})
    room, moved = side_by_side(moving), {}

    def take(_: str, name: str, grad: Tensor) -> None:
        here, _state = loop.inner.optimiser.update(
            {name: grad}, {}, {name: moving[name]}, loop.start.rates, k
        )
        moved[name] = room[name].copy_(here[name])

    pull(torch.ones_like(loss), take)
    return Moment({**moment.params, **moved}, moment.opt, buffers), loss


def _outcome(loop: Loop, total: Tensor, back: Tree, buffers: Buffers, trace: Tensor) -> Outcome:
    found = {**back, "adapted": back["params"]}
    whole = {
        part: {
            name: found[part][name] if name in found[part] else torch.zeros_like(value)
            for name, value in of.items()
        }
        for part, of in loop.tree().items()
    }
    return Outcome(total, whole["adapted"], whole["fixed"], whole["rates"], buffers, trace)


def _gathering(back: Tree, scale: float = 1.0) -> Take:
    """Adds `scale` times what it gets to what is there. The tensors are its own: they are changed
    in place.
    """

    def take(part: str, name: str, value: Tensor) -> None:
        there = back[part].get(name)
        if there is None:
            back[part][name] = value.clone() if scale == 1.0 else value * scale
        elif inside_transform():
            back[part][name] = there.add(value, alpha=scale)
        else:
            there.add_(value, alpha=scale)

    return take


def _pull_query(
    loop: Loop, moment: Moment, updates: int, weight: float, back: Tree
) -> tuple[Tensor, Buffers]:
    """(query loss, new buffers); `weight` times its gradient is gathered in `back`."""

    def query(tree: Tree) -> tuple[Tensor, Buffers]:
        return loop.with_tree({**_NOTHING, "fixed": tree["fixed"]}).query_loss(
            _moment(moment, tree), updates
        )

    loss, buffers, pull = loop.calculus.pullback(query, _place(loop, moment))
    pull(torch.full_like(loss, weight), _gathering(back))
    return loss, buffers


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
    """Cotangents of everything before update k from those after it, which are lost."""
    rate = one_rate(loop.start.rates)
    if rate and loop.inner.optimiser.descent:
        return _pull_descent(loop, moment, k, back, product, rate)
    moving, still = loop.parted(moment.params, k)
    pull = _pull_update(loop, moment, still, k)
    slopes: Tree = {"params": side_by_side(moment.params), "buffers": {}, "fixed": back["fixed"]}
    take = _gathering(slopes)
    grads = product(
        loop, moment, k, lambda grads: pull(grads, back)["grads"], back["buffers"], take
    )
    through = pull({name: grads[name] for name in moving}, back)
    for name, value in through["params"].items():
        take("params", name, value)
    rates = {name: value + back["rates"].get(name, 0.0) for name, value in through["rates"].items()}
    return {**slopes, "opt": through["opt"], "rates": rates}


def _pull_descent(
    loop: Loop, moment: Moment, k: int, back: Tree, product: Product, rate: float
) -> Tree:
    """Of p - rate g: the cotangent of the parameters is itself the direction, and -rate times the
    slope joins it.
    """
    moving, _ = loop.parted(moment.params, k)
    along = {name: back["params"][name] for name in moving}
    statistics = {name: value / -rate for name, value in back["buffers"].items()}
    before: Tree = {**back, "buffers": {}}
    product(loop, moment, k, lambda _: along, statistics, _gathering(before, -rate))
    return before


def _pull_update(
    loop: Loop, moment: Moment, still: Params, k: int
) -> Callable[[Params, Tree], Tree]:
    """The pullback of the optimiser's update alone, at a given gradient: elementwise work."""

    def pull(grads: Params, back: Tree) -> Tree:
        def update(tree: Tree) -> tuple[Any, Any]:
            inside = loop.with_tree({"fixed": {}, "rates": tree["rates"]})
            here = Moment(tree["params"], tree["opt"], {})
            moving = {name: here.params[name] for name in grads}
            rest = {name: here.params[name] for name in still}
            after = inside.updated(here, moving, rest, tree["grads"], {}, k)
            return {"params": after.params, "opt": after.opt}, ()

        at = {
            "params": moment.params,
            "opt": moment.opt,
            "rates": loop.start.learned_rates,
            "grads": grads,
        }
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
    loop: Loop, moment: Moment, k: int, direction_of: Direction, statistics: Params, take: Take
) -> Params:
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
    slopes = pull({"grads": direction_of(grads), "buffers": statistics})
    # Not on the way: the direction, which `take` may change, is read until the pass is over.
    for part, tree in slopes.items():
        while tree:
            take(part, *tree.popitem())
    return grads


def _forward_over_reverse(
    loop: Loop, moment: Moment, k: int, direction_of: Direction, statistics: Params, take: Take
) -> Params:
    """One forward pass over one reverse pass: the cotangent of the statistics is a dual number with
    tangent alone.
    """
    moving, still = loop.parted(moment.params, k)
    guess = blanks(moving)
    if not _direction_is_known(loop):
        guess, _, _ = loop.gradient(moment, moving, still, k, keep=False)

    def loss_of(tree: Tree, weights: Params) -> Tensor:
        everything = {**loop.start.fixed, **tree["fixed"], **tree["params"]}
        loss, fresh = loop.inner.support(
            everything, {**moment.buffers, **tree["buffers"]}, loop.data, k
        )
        return loss + sum((weight * fresh[name]).sum() for name, weight in weights.items())

    along = {"params": direction_of(guess)}
    del guess
    value = _gradient_is_needed(loop)
    grads = loop.calculus.gradient_along(
        loss_of, _place(loop, moment), along, statistics, take, value=value
    )
    return grads["params"]
