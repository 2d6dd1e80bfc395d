"""Many episodes at once: a lane for each under `torch.func.vmap` where shapes agree, one by one
where they do not.

Episodes share lanes when they have the same `Inner` object and data and own parameters of the same
shapes. The choice changes nothing beyond rounding, and is handed back.
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
from torchcross.functional.loop.derivatives import Transforms
from torchcross.functional.loop.engines import Engine
from torchcross.functional.loop.problem import Meta, Problem, start_of
from torchcross.functional.loop.unroll import (
    MetaGradient,
    check_finite,
    gradient_with,
    meta_gradient,
    probe,
    serving,
)

Lanes: TypeAlias = Literal["auto", "loop"] | int
"""`"loop"`: one by one; a number: up to so many at once; `"auto"`: 16 on accelerators, the loop on
the CPU.
"""

_AUTO_WIDTH = 16


def lane_groups(
    problems: Sequence[Problem], lanes: Lanes, device: torch.device
) -> list[tuple[int, ...]]:
    """Indices of the episodes that run together, in the order of each group's first episode."""
    width = lane_width(lanes, device)
    by_key: dict[Any, list[int]] = {}
    for index, problem in enumerate(problems):
        by_key.setdefault(_key(problem) if width > 1 else index, []).append(index)
    return [
        tuple(group[at : at + width])
        for group in by_key.values()
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


def _key(problem: Problem) -> Any:
    flat, spec = pytree.tree_flatten((problem.data, problem.own))
    shapes = tuple(
        (
            (tuple(leaf.shape), leaf.dtype, leaf.device)
            if isinstance(leaf, Tensor)
            else (type(leaf), repr(leaf))
        )
        for leaf in flat
    )
    return id(problem.inner), str(spec), shapes


def gradients(
    problems: Sequence[Problem], groups: Sequence[tuple[int, ...]], meta: Meta, engine: Engine
) -> Iterator[tuple[int, MetaGradient]]:
    """(index, meta-gradient) of every episode, group by group."""
    probed: set[int] = set()
    for group in groups:
        if len(group) == 1:
            yield group[0], meta_gradient(problems[group[0]], meta, engine=engine)
            continue
        members = [problems[index] for index in group]
        if id(members[0].inner) not in probed:
            probed.add(id(members[0].inner))
            with serving(members[0], engine):
                probe(members[0], meta, engine)
        for index, problem, result in zip(
            group, members, _in_lanes(members, meta, engine), strict=True
        ):
            check_finite(problem, result)
            yield index, result


def _in_lanes(members: Sequence[Problem], meta: Meta, engine: Engine) -> Iterator[MetaGradient]:
    for member in members:
        if member.inner.init is None:
            start_of(member, meta.params, meta.rates, meta.buffers)
    flat = [pytree.tree_flatten((member.data, member.own)) for member in members]
    spec, first = flat[0][1], flat[0][0]
    batched = [at for at, leaf in enumerate(first) if isinstance(leaf, Tensor)]
    stacks = [torch.stack([leaves[at].detach() for leaves, _ in flat]) for at in batched]
    meta_fields = ("loss", "params", "own", "rates", "buffers", "trace", "residual")

    changed: set[str] = set()

    def one(*lane: Tensor) -> dict[str, Any]:
        leaves = list(first)
        for at, value in zip(batched, lane, strict=True):
            leaves[at] = value
        data, own = pytree.tree_unflatten(leaves, spec)
        problem = dataclasses.replace(members[0], data=data, own=own)
        result = gradient_with(problem, meta, engine, Transforms(), look=False)
        changed.update(
            name for name, value in result.buffers.items() if value is not meta.buffers[name]
        )
        return {
            name: getattr(result, name) for name in meta_fields if getattr(result, name) is not None
        }

    if not stacks:
        raise InputError(
            f"{members[0].name}: an episode without tensors cannot run in lanes; use lanes='loop'."
        )
    with serving(members[0], engine, in_lanes=True):
        together = torch.func.vmap(one)(*stacks)
    for lane in range(len(members)):
        parts = pytree.tree_map_only(Tensor, operator.itemgetter(lane), together)
        buffers = {
            name: value if name in changed else meta.buffers[name]
            for name, value in parts["buffers"].items()
        }
        yield MetaGradient(
            **{"residual": None, **parts, "buffers": buffers},
            engine=engine.name,
            order=engine.order,
        )
