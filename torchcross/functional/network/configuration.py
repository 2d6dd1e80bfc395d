"""What a module's layers are set to: whether anything changed since it was last read."""

from __future__ import annotations

import argparse
import sys
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

_OPAQUE = (type, nn.Module, Tensor)
"""Objects that are compared by identity: what they hold is no setting, or is seen apart."""

_NAMESPACES = (types.SimpleNamespace, argparse.Namespace)
"""Objects of the standard library that hold settings; others, such as loggers, hold a state."""

_MOST_ENTRIES = 1000
"""Larger collections are data, not settings: their length alone is compared."""

_TENSORS = ("_parameters", "_buffers")


class Configuration:
    """The settings of all layers of a module at one moment: attributes, hooks, children, tensors.

    Attributes are compared, and so are the entries of lists, dictionaries and plain objects among
    them. A mode (`training`) is no setting, for a pure forward has none.
    """

    def __init__(self, module: nn.Module) -> None:
        self._settings: list[tuple[Any, Any]] = []
        self._tensors: list[tuple[Any, Any]] = []
        self._lengths: list[tuple[Any, int]] = []
        self._modes: list[tuple[dict[str, Any], dict[str, Any]]] = []
        seen: set[int] = set()
        for layer in module.modules():
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
            container = _container_of(value)
            if container is None or id(container) in seen:
                continue
            seen.add(id(container))
            if len(container) > _MOST_ENTRIES:
                self._lengths.append((container, len(container)))
                continue
            self._settings.append((container, _copy_of(container)))
            rest.extend(_entries(container))

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
        return all(_is_same_but_for_mode(*pair) for pair in self._modes)


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
    if isinstance(value, _OPAQUE):
        return None
    owner = type(value).__module__.partition(".")[0]
    if owner in sys.stdlib_module_names and not isinstance(value, _NAMESPACES):
        return None
    attributes = getattr(value, "__dict__", None)
    return attributes if isinstance(attributes, dict) else None


def _copy_of(container: Any) -> Any:
    for kind in (dict, list, set, deque):
        if isinstance(container, kind):
            return kind(container)
    return container


def _entries(container: Any) -> Iterator[Any]:
    return iter(container.values() if isinstance(container, dict) else container)
