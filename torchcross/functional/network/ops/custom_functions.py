"""What the custom autograd functions of this folder share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._C._functorch import TransformType
from torch._functorch.pyfunctorch import retrieve_all_functorch_interpreters

from torchcross.errors import TorchcrossError


def save_for_derivatives(ctx: Any, *tensors: Tensor) -> None:
    """Save for `backward`, and for `jvp` where dual numbers may arrive.

    Only then: what is saved for forward mode stays alive as long as the graph does.
    """
    ctx.save_for_backward(*tensors)
    if is_forward_mode():
        ctx.save_for_forward(*tensors)


def add_terms(left: Tensor | None, right: Tensor | None) -> Tensor | None:
    """The sum of two fresh tensors, written over the first; None stands for zero."""
    if left is None or right is None:
        return right if left is None else left
    return left.add_(right)


def refuse_third_derivative() -> None:
    """Raise in the last derivative that is written out where a further one is recorded.

    Torch's `once_differentiable` would not do: `torch.autograd.grad` prunes the node that raises,
    and the term is missing without an error.
    """
    if torch.is_grad_enabled():
        raise TorchcrossError(
            "a third derivative was asked of a network's fast operations, which have two; build it"
            " with Network(module, fast=False)."
        )


def is_forward_mode() -> bool:
    """Whether tensors may be dual numbers: a forward-mode level is open, in whatever thread."""
    level: int = torch.autograd.forward_ad._current_level
    return level >= 0


def have_tangents(*tensors: Tensor) -> bool:
    """Whether one of them is a dual number."""
    if not is_forward_mode():
        return False
    unpack = torch.autograd.forward_ad.unpack_dual
    return any(unpack(tensor).tangent is not None for tensor in tensors)  # type: ignore[no-untyped-call]


def is_forward_over_reverse() -> bool:
    """Whether exactly these transforms are active: forward mode, and a gradient inside it."""
    return [level.key() for level in retrieve_all_functorch_interpreters()] == [
        TransformType.Jvp,
        TransformType.Grad,
    ]
