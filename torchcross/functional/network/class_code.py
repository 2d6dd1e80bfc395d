"""Which names the code of a layer mentions, without running it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from types import CodeType, FunctionType
from typing import Any

from torch import nn


def mentions(layer: nn.Module, name: str) -> bool:
    """Whether the layer's forward uses this name, itself or by a method that it calls.

    Classes of torch itself do not count.
    """
    kind: Any = type(layer)
    if name in _names_of_class(kind):
        return True
    own_forward = vars(layer).get("forward")
    function = getattr(own_forward, "__func__", own_forward)
    return isinstance(function, FunctionType) and name in _names_of_code(function.__code__)


@functools.cache
def _names_of_class(kind: Any) -> frozenset[str]:
    """All names in `forward` and in the methods that it calls, and that those call."""
    methods: dict[str, list[FunctionType]] = {}
    for base in kind.__mro__:
        if issubclass(base, nn.Module) and not base.__module__.startswith("torch.nn.modules."):
            for name, member in vars(base).items():
                methods.setdefault(name, []).extend(_functions_of(member))
    names, rest = set(_ENTRIES), set(_ENTRIES)
    while rest:
        functions = methods.get(rest.pop(), [])
        these = {name for function in functions for name in _names_of_code(function.__code__)}
        rest |= these - names
        names |= these
    return frozenset(names)


_ENTRIES = ("forward", "__call__", "__getattr__")


def _functions_of(member: object) -> Iterator[FunctionType]:
    """The functions behind a method, a property or a decorated function."""
    parts: tuple[object, ...] = (getattr(member, "__func__", member),)
    if isinstance(member, property):
        parts = (member.fget, member.fset)
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
