"""Trees of tensors: plain dictionaries by name, and what is done to all of their leaves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from torchcross.errors import InputError

Params: TypeAlias = dict[str, Tensor]
Buffers: TypeAlias = dict[str, Tensor]
Data: TypeAlias = Any
"""Any pytree of tensors: what one episode's losses read."""

LossFn: TypeAlias = Callable[[Params, Buffers, Data, int], tuple[Tensor, Buffers]]
"""(params, buffers, data, inner step) -> (scalar loss, new buffers)."""

InitFn: TypeAlias = Callable[[Params, Buffers, Data], Params]
"""(params, buffers, data) -> more params, differentiable in `params` (a prototype head, say)."""


def detach(tree: Params) -> Params:
    return {name: value.detach() for name, value in tree.items()}


def split_by_name(tree: Params, names: Collection[str]) -> tuple[Params, Params]:
    """(the tensors with these names, the rest)."""
    rest = dict(tree)
    return {name: rest.pop(name) for name in tree if name in names}, rest


def views(tree: Params) -> Params:
    """New tensors of the same values: a later gradient with respect to them is a partial one."""
    return {name: value.view_as(value) for name, value in tree.items()}


def zeros(tree: Params) -> Params:
    return {name: torch.zeros_like(value) for name, value in tree.items()}


def blanks(tree: Params) -> Params:
    return {name: blank(value) for name, value in tree.items()}


def blank(like: Tensor) -> Tensor:
    """Zeros that take no memory: one number, expanded. To be read, never written to."""
    return like.new_zeros(()).expand(like.shape)


_ALIGNED = 64
"""Bytes: kernels are fastest where a tensor begins at a multiple of this."""


def side_by_side(like: Params) -> Params:
    """Zeros of these shapes, in one piece of memory for each type and device.

    The system gets such a piece back as a whole. Long-lived tensors one by one among short-lived
    ones leave holes that an allocator cannot give back.
    """
    if inside_transform():
        return zeros(like)
    offsets: dict[str, int] = {}
    sizes: dict[tuple[torch.dtype, torch.device], int] = {}
    for name, value in like.items():
        kind, step = (value.dtype, value.device), max(1, _ALIGNED // value.element_size())
        offsets[name] = sizes.get(kind, 0)
        sizes[kind] = offsets[name] + -(-value.numel() // step) * step
    pieces = {
        kind: torch.zeros(size, dtype=kind[0], device=kind[1]) for kind, size in sizes.items()
    }
    zeros_by_name = {}
    for name, value in like.items():
        piece = pieces[value.dtype, value.device]
        zeros_by_name[name] = piece.narrow(0, offsets[name], value.numel()).view(value.shape)
    return zeros_by_name


def widen(value: Tensor) -> Tensor:
    """Real and complex numbers in double precision; others as they are."""
    if value.is_complex():
        return value.to(torch.complex128)
    return value.double() if value.is_floating_point() else value


def floating(tree: Params) -> Params:
    return {name: value for name, value in tree.items() if value.is_floating_point()}


def inside_transform() -> bool:
    """Whether a torch.func transform is active here."""
    return torch._C._are_functorch_transforms_active()


def reuse_unchanged(after: Buffers, before: Buffers) -> Buffers:
    """`after`, with the very tensors of `before` where nothing has changed."""
    return {
        name: before[name] if _is_same_memory(value, before[name]) else value
        for name, value in after.items()
    }


def _is_same_memory(left: Tensor, right: Tensor) -> bool:
    """Whether both are the same numbers at the same place, under whatever transforms."""
    left, right = _unwrap(left), _unwrap(right)
    is_same_place = left.data_ptr() == right.data_ptr() and left.device == right.device
    return is_same_place and left.shape == right.shape and left.stride() == right.stride()


def _unwrap(value: Tensor) -> Tensor:
    # Every transform wraps the tensors that it sees in one more layer.
    while torch._C._functorch.is_functorch_wrapped_tensor(value):
        value = torch._C._functorch.get_unwrapped(value)
    return value


def device_of(tree: Params) -> torch.device:
    return next((value.device for value in tree.values()), torch.device("cpu"))


def shape_key(tree: Data) -> tuple[object, ...]:
    """Equal for trees of tensors of the same shapes and types."""
    leaves = pytree.tree_leaves(tree)
    return tuple(
        (leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else repr(leaf) for leaf in leaves
    )


def merge_buffers(each: Iterable[Buffers]) -> Buffers:
    """One value for each buffer from those of several episodes: the mean, or the largest count.

    >>> from torchcross.functional import merge_buffers
    >>> merge_buffers([{"mean": torch.tensor(1.0)}, {"mean": torch.tensor(3.0)}])
    {'mean': tensor(2.)}
    """
    trees = list(each)
    if not trees:
        raise InputError("there are no buffers to merge: the list of episodes is empty.")
    merged = {}
    for name, first in trees[0].items():
        if all(tree[name] is first for tree in trees):
            merged[name] = first
            continue
        stacked = torch.stack([tree[name] for tree in trees])
        merged[name] = stacked.mean(0) if first.is_floating_point() else stacked.amax(0)
    return merged
