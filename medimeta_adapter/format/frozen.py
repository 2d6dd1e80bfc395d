"""Plain values and mappings that nobody changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

Key = TypeVar("Key")
Value = TypeVar("Value")


class FrozenMapping(Mapping[Key, Value]):
    """A picklable mapping that keeps its order and equals any mapping with the same items."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[Key, Value] | None = None) -> None:
        self._items: dict[Key, Value] = dict(items or {})

    def __getitem__(self, key: Key) -> Value:
        return self._items[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return repr(self._items)


def freeze(value: Any) -> Any:
    """Return mappings and lists, at every depth, as frozen mappings and tuples.

    Values of numpy and members of enumerations become the plain values that files can hold.
    """
    if isinstance(value, np.generic | np.ndarray):
        plain = value.tolist()
        # A long double has no plain value.
        return value if isinstance(plain, np.generic) else freeze(plain)
    if isinstance(value, Mapping):
        return FrozenMapping({freeze(key): freeze(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(map(freeze, value))
    if isinstance(value, str):
        # `str()` asks the class of the value.
        return str.__str__(value)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if is_integer else value


def freeze_fields(instance: Any) -> None:
    """Put what `freeze` returns into each field of a frozen dataclass."""
    for entry in fields(instance):
        object.__setattr__(instance, entry.name, freeze(getattr(instance, entry.name)))


def thaw(value: Any) -> Any:
    """Return the plain dicts and lists of what `freeze` froze."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    return list(map(thaw, value)) if isinstance(value, list | tuple) else value
