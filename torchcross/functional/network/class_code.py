"""Which names the code of a layer's own class mentions, without running it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from torch import nn


def mentions(layer: nn.Module, name: str) -> bool:
    """Whether methods of the layer's class use this name; classes of torch itself do not count."""
    kind: Any = type(layer)
    if name in _names_of_class(kind):
        return True
    own_forward = vars(layer).get("forward")
    function = getattr(own_forward, "__func__", own_forward)
    return isinstance(function, FunctionType) and name in _names_of_code(function.__code__)


@functools.cache
def _names_of_class(kind: Any) -> frozenset[str]:
    names: set[str] = set()
    for base in kind.__mro__:
        if issubclass(base, nn.Module) and not base.__module__.startswith("torch.nn.modules."):
            for function in _functions_of(base):
                names |= _names_of_code(function.__code__)
    return frozenset(names)


def _functions_of(kind: type) -> Iterator[FunctionType]:
    for member in vars(kind).values():
        parts = (
            (member.fget, member.fset)
            if isinstance(member, property)
            else (getattr(member, "__func__", member),)
        )
        # A decorated function is wrapped by the decorator's.
        for part in parts:
            while part is not None:
                if isinstance(part, FunctionType):
                    yield part
                part = getattr(part, "__wrapped__", None)


def _names_of_code(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names_of_code(constant)
    return names
