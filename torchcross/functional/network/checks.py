"""Checks at the first use of a network: a pure function of its arguments, in either layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from torchcross.errors import InputError
from torchcross.functional.network.purity import data_reads, write_error
from torchcross.functional.network.random_draws import refuse_random_draws
from torchcross.functional.network.structural_copy import Bypasses
from torchcross.functional.trees import Params

LaneFault: TypeAlias = Literal["data", "layout"] | None
"""What a forward reads that torch.func changes: `.data`, or how a tensor lies in memory."""


@torch.no_grad()
def refuse_impurity(
    forward: Callable[[Params], object], module: nn.Module, params: Params
) -> LaneFault:
    """Refuse a module that is not a pure function of its arguments, by a forward on copies.

    Such a module writes to parameters, draws random numbers, or reads tensors of its own. Returns
    what lanes would get wrong.
    """
    who = type(module).__name__
    names = [name for name, _ in module.named_parameters() if name in params]
    copies = {name: params[name].detach().clone() for name in names}
    device = next((value.device for value in copies.values()), torch.device("cpu"))
    bypasses, reads_before = Bypasses(module), data_reads.count

    def run() -> None:
        with bypasses:
            forward({**params, **copies})

    refuse_random_draws(run, who, device)
    for name, value in copies.items():
        if not torch.equal(value, params[name]) and not torch.isnan(value).any():
            raise write_error(who, name)
    if bypasses.parameter:
        raise InputError(
            f"{who} reads its own {bypasses.parameter!r} in a forward that got another: a"
            " function, hook or other attribute of it holds the tensor or its layer; read it"
            " through `self` in `forward`."
        )
    if bypasses.has_data_reads or data_reads.count > reads_before:
        return "data"
    return "layout" if bypasses.has_layout_reads else None


def have_same_values(left: Any, right: Any) -> bool:
    """Whether two outputs differ by rounding alone."""
    left_leaves, left_form = pytree.tree_flatten(left)
    right_leaves, right_form = pytree.tree_flatten(right)
    return left_form == right_form and all(map(_is_close, left_leaves, right_leaves))


_LEAST_TOLERANCE = 1e-3
"""Of the largest value. Float32 sums differ by a thousandth of that, wrong layouts by far more."""


def _is_close(left: Any, right: Any) -> bool:
    if not (isinstance(left, Tensor) and isinstance(right, Tensor)):
        return isinstance(left, Tensor) == isinstance(right, Tensor)
    if left.shape != right.shape or not left.is_floating_point():
        return left.shape == right.shape and torch.equal(left, right)
    eps = torch.finfo(left.dtype).eps
    if torch.is_autocast_enabled(left.device.type):
        eps = max(eps, torch.finfo(torch.get_autocast_dtype(left.device.type)).eps)
    tolerance = max(_LEAST_TOLERANCE, eps**0.5)
    finite = right[torch.isfinite(right)]
    scale = float(finite.abs().max()) if finite.numel() else 0.0
    return torch.allclose(left, right, rtol=0.0, atol=tolerance * scale, equal_nan=True)
