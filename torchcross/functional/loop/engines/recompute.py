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
from torchcross.functional.loop.derivatives import Sink, Tree
from torchcross.functional.loop.engines.loop import Loop, LoopResult, LoopState
from torchcross.functional.loop.forward_mode import refuse_inexact_forward_mode
from torchcross.functional.loop.optimisers import single_rate
from torchcross.functional.trees import (
    Buffers,
    Params,
    blanks,
    detach,
    floating,
    inside_transform,
    side_by_side,
)

Direction = Callable[[Params], Params]
"""Inner gradient -> direction G."""

Product = Callable[[Loop, LoopState, int, Direction, Params, Sink], Params]
"""(loop, state, step, direction, cotangents of the statistics, sink) -> inner gradient.

The sink gets the Hessian-vector product.
"""


@dataclass(frozen=True)
class Recompute:
    """Exact and lean: each step rebuilt, reverse over reverse.

    Parameters are kept after every second inner step (every `every`-th), and the steps between are
    taken twice. With `every=1` all are kept: a tenth faster, and memory grows by the parameters
    with each step.

    >>> from torchcross.functional import Recompute, certify_engine
    >>> all(row.holds for row in certify_engine(Recompute(every=1)))
    True
    """

    every: int = 2
    name: str = "recompute"
    order: int = 2

    def __post_init__(self) -> None:
        _check_every(self.every)

    def __call__(self, loop: Loop) -> LoopResult:
        return _rebuild_backwards(loop, _reverse_over_reverse, self.every)


@dataclass(frozen=True)
class Mixed:
    """Exact and lean: each step rebuilt, forward over reverse. `every` as in `Recompute`.

    The first use of a network checks that forward mode is exact there, and refuses it otherwise.

    >>> from torchcross.functional import Mixed, certify_engine
    >>> all(row.holds for row in certify_engine(Mixed(every=1)))
    True
    """

    every: int = 2
    name: str = "mixed"
    order: int = 2

    def __post_init__(self) -> None:
        _check_every(self.every)

    def __call__(self, loop: Loop) -> LoopResult:
        refuse_inexact_forward_mode(loop)
        return _rebuild_backwards(loop, _forward_over_reverse, self.every)


def _check_every(every: int) -> None:
    if not isinstance(every, int) or every < 1:
        raise InputError(
            f"every must be a whole number of 1 or more, not {every!r}: it counts inner steps."
        )


def _rebuild_backwards(loop: Loop, product: Product, every: int) -> LoopResult:
    """Walk forward once, keep every so-many states, and walk back step by step."""
    states, losses = _walk_forward(loop, every)
    back: Tree = {part: {} for part in ("opt", "buffers", "fixed", "rates")}
    back["params"] = side_by_side(loop.start.adapted)
    weighted: list[Tensor] = []
    for updates in range(loop.inner.steps, -1, -1):
        state = _pop_state(loop, states, updates)
        if updates < loop.inner.steps:
            back = _pull_step(loop, state, updates, back, product)
        weight = loop.inner.weight_after(updates)
        if weight or updates == loop.inner.steps:
            query, fresh = _pull_query(loop, state, updates, weight, back)
            if not weighted:
                last, buffers = query, fresh
            weighted.append(query * weight)
        # Frees the parameters of this step before the next one is rebuilt.
        del state
    back["adapted"] = back.pop("params")
    grads = {
        part: {
            name: back[part][name] if name in back[part] else torch.zeros_like(value)
            for name, value in tensors.items()
        }
        for part, tensors in loop.tree().items()
    }
    loss, trace = sum(weighted[1:], weighted[0]), torch.stack([*losses, last])
    return LoopResult(loss, grads["adapted"], grads["fixed"], grads["rates"], buffers, trace)


def _walk_forward(loop: Loop, every: int) -> tuple[dict[int, LoopState], list[Tensor]]:
    """The states that are kept, by the number of updates, and all support losses."""
    state, losses = loop.begin(), []
    states = {0: state}
    # After a zero head's first update most parameters are the initial ones: to keep that state
    # costs next to nothing.
    first = 1 if loop.start.head else 0
    for k in range(loop.inner.steps):
        state, loss = _step(loop, state, k)
        losses.append(loss.detach())
        if k + 1 == loop.inner.steps or (k + 1 - first) % every == 0:
            states[k + 1] = state
    return states, losses


def _pop_state(loop: Loop, states: dict[int, LoopState], updates: int) -> LoopState:
    """Take out the state after so many updates; rebuild it, and those on the way, if need be."""
    while (last := max(states)) < updates:
        states[last + 1], _ = _step(loop, states[last], last)
    return states.pop(updates)


def _step(loop: Loop, state: LoopState, k: int) -> tuple[LoopState, Tensor]:
    """`Loop.step`, but each parameter moves as soon as its gradient is there, if it can."""
    if not loop.inner.optimiser.descent or inside_transform():
        return loop.step(state, k, keep=False)
    moving, still = loop.split_moving(state.params, k)

    def support(tree: Tree) -> tuple[Tensor, Buffers]:
        params = {**detach(loop.start.fixed), **detach(still), **tree["moving"]}
        return loop.inner.support(params, state.buffers, loop.data, k)

    loss, buffers, pull = loop.calculus.pullback(support, {"moving": moving})
    room, moved = side_by_side(moving), {}

    def sink(_: str, name: str, grad: Tensor) -> None:
        at = {name: moving[name]}
        after, _state = loop.inner.optimiser.update({name: grad}, {}, at, loop.start.rates, k)
        moved[name] = room[name].copy_(after[name])

    pull(torch.ones_like(loss), sink)
    return LoopState({**state.params, **moved}, state.opt, buffers), loss


def _adding_sink(back: Tree, scale: float = 1.0) -> Sink:
    """A sink that adds `scale` times what it gets to `back`, in place: the tensors are its own."""

    def sink(part: str, name: str, value: Tensor) -> None:
        total = back[part].get(name)
        if total is None:
            back[part][name] = value.clone() if scale == 1.0 else value * scale
        elif inside_transform():
            back[part][name] = total.add(value, alpha=scale)
        else:
            total.add_(value, alpha=scale)

    return sink


def _pull_query(
    loop: Loop, state: LoopState, updates: int, weight: float, back: Tree
) -> tuple[Tensor, Buffers]:
    """(query loss, new buffers); `weight` times its gradient is added to `back`."""

    def query(tree: Tree) -> tuple[Tensor, Buffers]:
        here = _state_with(state, tree)
        return loop.with_tree({"fixed": tree["fixed"]}).query_loss(here, updates)

    loss, buffers, pull = loop.calculus.pullback(query, _inputs_of_losses(loop, state))
    pull(torch.full_like(loss, weight), _adding_sink(back))
    return loss, buffers


def _inputs_of_losses(loop: Loop, state: LoopState) -> Tree:
    """What a loss at this state depends on; whole-number buffers have no derivative."""
    return {
        "params": state.params,
        "buffers": floating(state.buffers),
        "fixed": floating(loop.start.fixed),
    }


def _state_with(state: LoopState, tree: Tree) -> LoopState:
    return LoopState(tree["params"], state.opt, {**state.buffers, **tree["buffers"]})


def _pull_step(loop: Loop, state: LoopState, k: int, back: Tree, product: Product) -> Tree:
    """Cotangents of everything before update k from those after it, which are lost."""
    rate = single_rate(loop.start.rates)
    if rate and loop.inner.optimiser.descent:
        return _pull_descent(loop, state, k, back, product, rate)
    moving, still = loop.split_moving(state.params, k)
    slopes: Tree = {"params": side_by_side(state.params), "buffers": {}, "fixed": back["fixed"]}
    sink = _adding_sink(slopes)

    def direction_of(grads: Params) -> Params:
        return _pull_update(loop, state, still, k, grads, back)["grads"]

    grads = product(loop, state, k, direction_of, back["buffers"], sink)
    at = {name: grads[name] for name in moving}
    through = _pull_update(loop, state, still, k, at, back)
    for name, value in through["params"].items():
        sink("params", name, value)
    rates = {name: value + back["rates"].get(name, 0.0) for name, value in through["rates"].items()}
    return {**slopes, "opt": through["opt"], "rates": rates}


def _pull_descent(
    loop: Loop, state: LoopState, k: int, back: Tree, product: Product, rate: float
) -> Tree:
    """`_pull_step` for the update p - rate g.

    The cotangent of the parameters is itself the direction; -rate times the slope is added to it.
    """
    moving, _ = loop.split_moving(state.params, k)
    along = {name: back["params"][name] for name in moving}
    # Divided here, for the sink multiplies by -rate all that the product hands it.
    statistics = {name: value / -rate for name, value in back["buffers"].items()}
    before: Tree = {**back, "buffers": {}}
    product(loop, state, k, lambda _: along, statistics, _adding_sink(before, -rate))
    return before


def _pull_update(
    loop: Loop, state: LoopState, still: Params, k: int, grads: Params, back: Tree
) -> Tree:
    """The pullback of the optimiser's update alone, at a given gradient: elementwise work."""

    def update(tree: Tree) -> tuple[Any, Any]:
        inner_loop = loop.with_tree({"rates": tree["rates"]})
        here = LoopState(tree["params"], tree["opt"], {})
        moving = {name: here.params[name] for name in grads}
        rest = {name: here.params[name] for name in still}
        after = inner_loop.update(here, moving, rest, tree["grads"], {}, k)
        return {"params": after.params, "opt": after.opt}, ()

    at = {
        "params": state.params,
        "opt": state.opt,
        "rates": loop.start.learned_rates,
        "grads": grads,
    }
    _, _, pull = loop.calculus.pullback(update, at)
    return pull({part: {**blanks(at[part]), **back[part]} for part in ("params", "opt")})


def _reverse_over_reverse(
    loop: Loop,
    state: LoopState,
    k: int,
    direction_of: Direction,
    statistics: Params,
    sink: Sink,
) -> Params:
    """The pullback of the inner gradient: <G, gradient> differentiated once more."""
    moving, _ = loop.split_moving(state.params, k)

    def gradient(tree: Tree) -> tuple[Tree, Any]:
        inner_loop, here = loop.with_tree({"fixed": tree["fixed"]}), _state_with(state, tree)
        parts = inner_loop.split_moving(here.params, k)
        grads, _, buffers = inner_loop.gradient(here, *parts, k, keep=True)
        return {"grads": grads, "buffers": floating(buffers)}, ()

    value, _, pull = loop.calculus.pullback(gradient, _inputs_of_losses(loop, state))
    statistics = {**blanks(value["buffers"]), **statistics}
    grads = value.pop("grads") if _needs_gradient(loop) else blanks(moving)
    # Frees the values: the pullback holds the graph without them.
    del value
    slopes = pull({"grads": direction_of(grads), "buffers": statistics})
    # Not during the pass: the direction, which `sink` may change, is read until the pass is over.
    for part, tree in slopes.items():
        while tree:
            sink(part, *tree.popitem())
    return grads


def _forward_over_reverse(
    loop: Loop,
    state: LoopState,
    k: int,
    direction_of: Direction,
    statistics: Params,
    sink: Sink,
) -> Params:
    """One forward pass over one reverse pass.

    The cotangents of the statistics enter as dual numbers with value 0 and themselves as tangents:
    the derivative of their product with the statistics joins the tangent of the gradient.
    """
    moving, still = loop.split_moving(state.params, k)
    at = blanks(moving)
    if not loop.inner.optimiser.linear:
        # The direction depends on the inner gradient, which is computed ahead.
        at, _, _ = loop.gradient(state, moving, still, k, keep=False)

    def support_loss(tree: Tree, weights: Params) -> Tensor:
        params = {**loop.start.fixed, **tree["fixed"], **tree["params"]}
        buffers = {**state.buffers, **tree["buffers"]}
        loss, fresh = loop.inner.support(params, buffers, loop.data, k)
        return loss + sum((weight * fresh[name]).sum() for name, weight in weights.items())

    along = {"params": direction_of(at)}
    del at
    grads = loop.calculus.gradient_along(
        support_loss,
        _inputs_of_losses(loop, state),
        along,
        statistics,
        sink,
        want_gradient=_needs_gradient(loop),
    )
    return grads["params"]


def _needs_gradient(loop: Loop) -> bool:
    """Whether the update's pullback depends on the inner gradient's value."""
    return not loop.inner.optimiser.linear or bool(loop.start.learned_rates)
