"""A backbone's shape without its memory: what a description from a file would build."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)

from torchcross.errors import InputError

_IS_SKETCHING: ContextVar[bool] = ContextVar("is_sketching", default=False)

# Room for a classifier that is built and taken off again, and for layers without parameters.
_MORE_NUMBERS, _MORE_LAYERS, _LAYERS_FOR_ONE_TENSOR = 1 << 24, 256, 16


def is_sketching() -> bool:
    """Whether backbones are built on the meta device and left there, without initial values."""
    return _IS_SKETCHING.get()


@contextmanager
def sketching(tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Build sketches in the block; refuse those that are far larger than these tensors."""
    count = _Count(tensors)
    hooks = (
        register_module_parameter_registration_hook(count.parameter),
        register_module_module_registration_hook(count.layer),
    )
    before = _IS_SKETCHING.set(True)
    try:
        yield
    finally:
        _IS_SKETCHING.reset(before)
        for hook in hooks:
            hook.remove()


class _Count:
    """Counts what this thread registers in modules."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        own = sum(value.numel() for value in tensors.values())
        self._numbers_left = 2 * own + _MORE_NUMBERS
        self._layers_left = _LAYERS_FOR_ONE_TENSOR * len(tensors) + _MORE_LAYERS
        self._size = f"{len(tensors)} tensors of {own} numbers"
        self._thread = threading.get_ident()

    def parameter(self, module: nn.Module, name: str, value: Tensor | None) -> None:
        if value is not None and threading.get_ident() == self._thread:
            self._numbers_left -= value.numel()
            self._refuse_if_larger()

    def layer(self, module: nn.Module, name: str, layer: Any) -> None:
        if threading.get_ident() == self._thread:
            self._layers_left -= 1
            self._refuse_if_larger()

    def _refuse_if_larger(self) -> None:
        if min(self._numbers_left, self._layers_left) < 0:
            raise InputError(
                f"the description is of a far larger backbone than the {self._size} beside it"
            )
