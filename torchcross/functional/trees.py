"""The shapes of things: pytrees are plain dictionaries, everything else is a callable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch._C._functorch import TransformType
from torch._functorch.pyfunctorch import retrieve_all_functorch_interpreters

from torchcross.errors import TorchcrossError

Params: TypeAlias = dict[str, Tensor]
Buffers: TypeAlias = dict[str, Tensor]
Data: TypeAlias = Any
"""Any pytree of tensors: what one episode's losses read."""

LossFn: TypeAlias = Callable[[Params, Buffers, Data, int], tuple[Tensor, Buffers]]
"""(params, buffers, data, inner step) -> (scalar loss, new buffers)."""

InitFn: TypeAlias = Callable[[Params, Buffers, Data], Params]
"""(params, buffers, data) -> more params, differentiable in `params` (a prototype head, say)."""


def detached(tree: Params) -> Params:
    return {name: value.detach() for name, value in tree.items()}


def leaves(tree: Params) -> Params:
    """Fresh autograd leaves over the same storage; integer tensors stay as they are."""
    return {name: leaf(value) for name, value in tree.items()}


def leaf(value: Tensor) -> Tensor:
    fresh = value.detach()
    return fresh.requires_grad_() if fresh.is_floating_point() else fresh


def views(tree: Params) -> Params:
    """New tensors of the same values: a later gradient with respect to them is partial, not
    total.
    """
    return {name: value.view_as(value) for name, value in tree.items()}


def zeros(tree: Params) -> Params:
    return {name: torch.zeros_like(value) for name, value in tree.items()}


def blanks(tree: Params) -> Params:
    return {name: blank(value) for name, value in tree.items()}


def blank(like: Tensor) -> Tensor:
    """Zeros that take no memory: one number, expanded. To be read, never written to."""
    return like.new_zeros(()).expand(like.shape)


_ALIGNED = 64
"""Bytes: what kernels like the first number of a tensor to stand at."""


def side_by_side(like: Params) -> Params:
    """Zeros of these shapes in one piece of memory for each type and device, given back to the
    system as a whole.

    Long-lived tensors that stand one by one among short-lived ones leave holes that an allocator
    cannot give back.
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
    return {
        name: (
            pieces[value.dtype, value.device][offsets[name] : offsets[name] + value.numel()].view(
                value.shape
            )
        )
        for name, value in like.items()
    }


def floating(tree: Params) -> Params:
    return {name: value for name, value in tree.items() if value.is_floating_point()}


def filled(grads: tuple[Tensor | None, ...], like: Params) -> Params:
    """A gradient for each of `like`, zero where autograd found no path."""
    pairs = zip(like.items(), grads, strict=True)
    return {
        name: torch.zeros_like(value) if grad is None else grad for (name, value), grad in pairs
    }


def summed(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    """The sum of two fresh tensors, in the place of the first."""
    if left is None or right is None:
        return right if left is None else left
    return left.add_(right)


def refuse_third_derivative() -> None:
    """For the last derivative that is written out.

    Torch's `once_differentiable` would not do: `torch.autograd.grad` prunes the node that raises,
    and drops the term.
    """
    if torch.is_grad_enabled():
        raise TorchcrossError(
            "a third derivative was asked of a network's fast operations, which have two; build it"
            " with Network(module, fast=False)."
        )


def inside_transform() -> bool:
    """Whether a torch.func transform is active here."""
    return torch._C._are_functorch_transforms_active()


def kept(after: Buffers, before: Buffers) -> Buffers:
    """The same, with the very tensors of `before` where nothing has changed."""
    return {
        name: before[name] if _same_memory(value, before[name]) else value
        for name, value in after.items()
    }


def _same_memory(left: Tensor, right: Tensor) -> bool:
    """Whether both are the same numbers in the same place, under whatever transforms."""
    left, right = _unwrapped(left), _unwrapped(right)
    same_place = left.data_ptr() == right.data_ptr() and left.device == right.device
    return same_place and left.shape == right.shape and left.stride() == right.stride()


def _unwrapped(value: Tensor) -> Tensor:
    while torch._C._functorch.is_functorch_wrapped_tensor(value):
        value = torch._C._functorch.get_unwrapped(value)
    return value


def forward_mode() -> bool:
    """Whether dual numbers may be about: a forward-mode level is open."""
    level: int = torch.autograd.forward_ad._current_level
    return level >= 0


def forward_over_reverse() -> bool:
    """Whether just these transforms are active: a forward-mode one, and a gradient inside it."""
    return [level.key() for level in retrieve_all_functorch_interpreters()] == [
        TransformType.Jvp,
        TransformType.Grad,
    ]
