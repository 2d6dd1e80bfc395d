"""Tensors that a layer keeps from one forward to the next, in attributes that are no buffers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from torchcross.errors import InputError
from torchcross.functional.network.structural_copy import Placeholder

_REGISTERED = ("_parameters", "_buffers", "_modules")


def kept_attribute(after: nn.Module, before: nn.Module) -> str | None:
    """The first attribute that holds another tensor than before, by name and class of its layer."""
    known = dict(_held_tensors(before))
    for (layer, attribute, place), tensor in _held_tensors(after):
        old = known.get((layer, attribute, place))
        if old is None or old.shape != tensor.shape or not torch.equal(old, tensor):
            kind = type(after.get_submodule(layer)).__name__
            return f"attribute {attribute!r} of layer {layer!r} ({kind})"
    return None


def _held_tensors(module: nn.Module) -> Iterator[tuple[tuple[str, str, int], Tensor]]:
    """Tensors in attributes, and in the lists and dictionaries among them."""
    for name, layer in module.named_modules():
        for attribute, value in vars(layer).items():
            if attribute in _REGISTERED or not isinstance(value, Tensor | dict | list | tuple):
                continue
            for place, leaf in enumerate(pytree.tree_leaves(value)):
                if isinstance(leaf, Tensor) and not isinstance(leaf, Placeholder):
                    yield (name, attribute, place), leaf


def refuse_state(who: str, attribute: str, first: Any, second: Any) -> None:
    """Raise where a second forward of the same copy differs: what was kept is a state."""
    pairs = zip(pytree.tree_leaves(first), pytree.tree_leaves(second), strict=True)
    if any(isinstance(left, Tensor) and not torch.equal(left, right) for left, right in pairs):
        raise InputError(
            f"{who} keeps a tensor in {attribute} from one forward to the next, and its output"
            " depends on it; register it with `register_buffer`, so that it comes in and goes out"
            " with every call."
        )
