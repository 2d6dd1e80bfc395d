"""Many episodes at once, a lane for each under `torch.func.vmap`, or one after the other.

Episodes share lanes when they have the same `Inner` object and data and own parameters of the same
shapes. The choice changes nothing beyond rounding; `MetaLoss.groups` shows it.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterator, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from torchcross.errors import InputError
from torchcross.functional.loop.derivatives import Autograd, Transforms
from torchcross.functional.loop.engines import Engine, Implicit, Mixed
from torchcross.functional.loop.forward_mode import refuse_inexact_forward_mode
from torchcross.functional.loop.meta_gradient import MetaGradient, check_finite, open_episode
from torchcross.functional.loop.problem import Meta, Problem, Start, start_of, with_initial_params
from torchcross.functional.loop.torch_errors import explain_torch_errors
from torchcross.functional.network.attention import second_derivatives
from torchcross.functional.trees import Buffers, Params, detach

Lanes: TypeAlias = Literal["auto", "loop"] | int
"""`"loop"`: one by one; a number: up to so many at once.

`"auto"`: 16 at once on accelerators, one by one on the CPU.
"""

_AUTO_WIDTH = 16
_TENSOR_FIELDS = ("loss", "params", "own", "rates", "buffers", "trace", "residual")
"""The fields of a MetaGradient that `vmap` can return."""


def lane_groups(
    problems: Sequence[Problem], lanes: Lanes, device: torch.device
) -> list[tuple[int, ...]]:
    """Indices of the episodes that run together, in the order of each group's first episode."""
    width = lane_width(lanes, device)
    if width == 1:
        return [(index,) for index in range(len(problems))]
    by_shape: dict[Any, list[int]] = {}
    for index, problem in enumerate(problems):
        by_shape.setdefault(_shape_key(problem), []).append(index)
    return [
        tuple(group[at : at + width])
        for group in by_shape.values()
        for at in range(0, len(group), width)
    ]


def lane_width(lanes: Lanes, device: torch.device) -> int:
    """How many episodes may run at once."""
    if lanes == "loop":
        return 1
    if lanes == "auto":
        return 1 if device.type == "cpu" else _AUTO_WIDTH
    if isinstance(lanes, int) and not isinstance(lanes, bool) and lanes >= 1:
        return lanes
    raise InputError(f"lanes must be 'auto', 'loop' or a number of 1 or more, not {lanes!r}.")


def _shape_key(problem: Problem) -> Any:
    """Equal for episodes that can share lanes."""
    flat, spec = pytree.tree_flatten((problem.data, problem.own))
    shapes: list[Any] = []
    for leaf in flat:
        if isinstance(leaf, Tensor):
            shapes.append((tuple(leaf.shape), leaf.dtype, leaf.device))
        else:
            shapes.append((type(leaf), repr(leaf)))
    return id(problem.inner), str(spec), tuple(shapes)


def check_outside(problem: Problem, meta: Meta, engine: Engine) -> None:
    """Look at an episode outside of the transform, which hides values, graphs and memory.

    Networks are checked there, at their first use and where their module has changed. A term of
    the second derivative that torch would drop without an error is refused: one inner gradient on
    torch's tape shows it. So is what engine `mixed` gets wrong.
    """
    takes_gradients = problem.inner.steps or isinstance(engine, Implicit)
    with explain_torch_errors(problem.name, engine.name), second_derivatives(True):
        if isinstance(engine, Mixed):
            with torch.no_grad():
                loop, _ = open_episode(problem, meta, engine, Autograd(), check_values=False)
                refuse_inexact_forward_mode(loop)
        if engine.order < 2 or isinstance(engine, Mixed) or not takes_gradients:
            _take_one_loss(problem, meta)
        else:
            _take_one_gradient(problem, meta)


def _take_one_loss(problem: Problem, meta: Meta) -> None:
    with torch.no_grad():
        start, inner = _start_on_constants(problem, meta), problem.inner
        loss = inner.support if inner.steps else inner.query
        loss({**start.fixed, **start.adapted}, meta.buffers, problem.data, 0)


def _take_one_gradient(problem: Problem, meta: Meta) -> None:
    start, inner = _start_on_constants(problem, meta), problem.inner

    def support_loss(adapted: Params) -> tuple[Tensor, Buffers]:
        return inner.support({**start.fixed, **adapted}, meta.buffers, problem.data, 0)

    leaves = {name: value.detach().requires_grad_() for name, value in start.adapted.items()}
    Autograd().gradient(support_loss, leaves, keep=True, inspect=True)


def _start_on_constants(problem: Problem, meta: Meta) -> Start:
    params = detach(meta.params)
    own = dataclasses.replace(problem, own=detach(problem.own))
    whole = with_initial_params(own, params, meta.buffers)
    return start_of(whole, params, meta.rates, meta.buffers, check_values=False)


def meta_gradients_in_lanes(
    members: Sequence[Problem], meta: Meta, engine: Engine
) -> Iterator[MetaGradient]:
    """Yield the meta-gradients of episodes that run at once."""
    for member in members:
        if member.inner.init is None:
            start_of(member, meta.params, meta.rates, meta.buffers)
    flat = [pytree.tree_flatten((member.data, member.own)) for member in members]
    first, spec = flat[0]
    places = [at for at, leaf in enumerate(first) if isinstance(leaf, Tensor)]
    if not places:
        raise InputError(
            f"{members[0].name}: an episode without tensors cannot run in lanes; use lanes='loop'."
        )
    stacks = [torch.stack([parts[at].detach() for parts, _ in flat]) for at in places]
    changed: set[str] = set()

    def one_lane(*tensors: Tensor) -> dict[str, Any]:
        parts = list(first)
        for at, tensor in zip(places, tensors, strict=True):
            parts[at] = tensor
        data, own = pytree.tree_unflatten(parts, spec)
        problem = dataclasses.replace(members[0], data=data, own=own)
        with torch.no_grad():
            loop, finish = open_episode(problem, meta, engine, Transforms(), check_values=False)
            result = finish(engine(loop))
        # Noted here, for vmap returns new tensors even for buffers that did not change.
        changed.update(
            name for name, value in result.buffers.items() if value is not meta.buffers[name]
        )
        fields = {name: getattr(result, name) for name in _TENSOR_FIELDS}
        return {name: value for name, value in fields.items() if value is not None}

    # Transforms also ask for forward mode and for batches, which fused attention may lack.
    with (
        explain_torch_errors(members[0].name, engine.name, in_lanes=True),
        second_derivatives(True),
    ):
        together = torch.func.vmap(one_lane)(*stacks)
    for lane, member in enumerate(members):
        parts = pytree.tree_map_only(Tensor, operator.itemgetter(lane), together)
        unchanged = {name: meta.buffers[name] for name in parts["buffers"] if name not in changed}
        parts["buffers"].update(unchanged)
        result = MetaGradient(**{"residual": None, **parts}, engine=engine.name, order=engine.order)
        check_finite(member, result)
        yield result
