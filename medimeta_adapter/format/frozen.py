"""Names that become file names, and mappings that nobody changes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

__all__ = ["FrozenMapping", "freeze", "name_problem", "thaw"]

Key = TypeVar("Key")
Value = TypeVar("Value")
_LONGEST = 200


class FrozenMapping(Mapping[Key, Value]):
    """A mapping that keeps its order and never changes; equal to any mapping with the same items,
    picklable.
    """

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
    """Mappings and lists, through and through, as what nobody changes."""
    if isinstance(value, Mapping):
        return FrozenMapping({key: freeze(item) for key, item in value.items()})
    return tuple(freeze(item) for item in value) if isinstance(value, list | tuple) else value


def thaw(value: Any) -> Any:
    """The plain dicts and lists of what `freeze` froze."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    return [thaw(item) for item in value] if isinstance(value, list | tuple) else value


def name_problem(name: Any) -> str | None:
    """Why this cannot be the name of a file or folder, if it cannot."""
    if not isinstance(name, str) or not name.strip():
        return f"{name!r} is no name; give a non-empty text"
    if name in (".", "..") or "/" in name or "\\" in name:
        return f"{name[:80]!r} would leave its folder; give a name without slashes"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return f"{name[:80]!r} holds a control character; give printable text"
    if len(name.encode()) > _LONGEST:
        return f"{name[:40]!r}... is longer than the {_LONGEST} bytes that a name may have"
    return None
