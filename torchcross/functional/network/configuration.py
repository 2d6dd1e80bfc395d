"""What a module's layers are set to: whether anything changed since it was last read."""

from __future__ import annotations

import argparse
import functools
import sys
import types
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import starmap
from typing import Any

import numpy as np
from torch import Tensor, nn

_NAMESPACES = (types.SimpleNamespace, argparse.Namespace)
"""Objects of the standard library that hold settings; others, such as loggers, hold a state."""

_MOST_ENTRIES = 1000
"""Larger collections are data, not settings: their length alone is compared."""

_TENSORS = ("_parameters", "_buffers")


class Configuration:
    """The settings of all layers of a module at one moment: attributes, hooks, children, tensors.

    Attributes are compared, and so are the entries of lists, dictionaries and plain objects among
    them, small arrays, and whether a tensor in an attribute was written to. A mode (`training`) is
    no setting, for a pure forward has none.
    """

    def __init__(self, module: nn.Module) -> None:
        self._settings: list[tuple[Any, Any]] = []
        self._tensors: list[tuple[Any, Any]] = []
        self._lengths: list[tuple[Any, int]] = []
        self._modes: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._kinds = [(layer, type(layer)) for layer in module.modules()]
        # What is registered comes in with a call, and an optimiser writes to it.
        self._versions: list[tuple[Tensor, int]] = []
        self._arrays: list[tuple[Any, Any]] = []
        seen = {id(tensor) for tensor in (*module.parameters(), *module.buffers())}
        seen.update(id(vars(layer)) for layer, _ in self._kinds)
        for layer, _ in self._kinds:
            attributes = vars(layer)
            seen.update(id(attributes[kind]) for kind in _TENSORS)
            self._tensors += [(attributes[kind], dict(attributes[kind])) for kind in _TENSORS]
            self._modes.append((attributes, dict(attributes)))
            for value in attributes.values():
                self._note(value, seen)

    def _note(self, first: Any, seen: set[int]) -> None:
        """Note the contents of every container that can be reached from `first`."""
        rest = [first]
        while rest:
            value = rest.pop()
            if isinstance(value, Tensor | np.ndarray):
                self._note_array(value, seen)
                continue
            container = _container_of(value)
            if container is None or not seen.isdisjoint({id(value), id(container)}):
                continue
            # Of an object that has no collection of its own, `container` is a new one each time.
            seen.update({id(value), id(container)})
            if len(container) > _MOST_ENTRIES:
                self._lengths.append((container, len(container)))
                continue
            self._settings.append((container, _copy_of(container)))
            rest.extend(_entries(container))

    def _note_array(self, value: Any, seen: set[int]) -> None:
        if id(value) in seen:
            return
        seen.add(id(value))
        if isinstance(value, np.ndarray):
            if value.size <= _MOST_ENTRIES:
                self._arrays.append((value, value.copy()))
        elif not value.is_inference():
            self._versions.append((value, value._version))

    def is_unchanged(self) -> bool:
        """Whether every setting and every tensor object is what it was."""
        return self._has_same_settings() and _is_same(self._tensors)

    def is_only_other_tensors(self) -> bool:
        """Whether at most the tensors were replaced, by others of the same names."""
        names = [(live.keys(), noted.keys()) for live, noted in self._tensors]
        return self._has_same_settings() and _is_same(names)

    def _has_same_settings(self) -> bool:
        if not _is_same(self._settings):
            return False
        if any(len(live) != length for live, length in self._lengths):
            return False
        if any(type(layer) is not kind for layer, kind in self._kinds):
            return False
        if any(value._version != version for value, version in self._versions):
            return False
        if not all(live.tobytes() == noted.tobytes() for live, noted in self._arrays):
            return False
        return all(starmap(_is_same_but_for_mode, self._modes))


def _is_same(pairs: list[tuple[Any, Any]]) -> bool:
    try:
        return all(live == noted for live, noted in pairs)
    # Comparing collections looks at identity first. What is compared further, an array or a tensor
    # with another, may have no truth value.
    except (RuntimeError, ValueError, TypeError):
        return False


def _is_same_but_for_mode(live: dict[str, Any], noted: dict[str, Any]) -> bool:
    if _is_same([(live, noted)]):
        return True
    noted["training"] = live["training"]
    return _is_same([(live, noted)])


def _container_of(value: Any) -> Any:
    """The collection that holds the settings of an attribute's value, if it has any."""
    if isinstance(value, dict | list | set | tuple | deque):
        return value
    if isinstance(value, type):
        return None
    if isinstance(value, functools.partial):
        return (value.func, value.args, value.keywords)
    if isinstance(value, types.MethodType):
        return (value.__self__,)
    owner = type(value).__module__.partition(".")[0]
    if owner in sys.stdlib_module_names and not isinstance(value, _NAMESPACES):
        return None
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict):
        return attributes
    names = _slots_of(type(value))
    return _Slots(value, names) if names else None


def _slots_of(kind: type) -> list[str]:
    names: list[str] = []
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    return [name for name in names if not name.startswith("__")]


class _Slots(Mapping[str, Any]):
    """The attributes of an object without a dictionary, as they are now."""

    def __init__(self, value: Any, names: list[str]) -> None:
        self._value = value
        self._names = names

    def __getitem__(self, name: str) -> Any:
        return getattr(self._value, name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._names if hasattr(self._value, name))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _copy_of(container: Any) -> Any:
    for kind in (dict, list, set, deque):
        if isinstance(container, kind):
            return kind(container)
    return dict(container) if isinstance(container, _Slots) else container


def _entries(container: Any) -> Iterator[Any]:
    return iter(container.values() if isinstance(container, Mapping) else container)
