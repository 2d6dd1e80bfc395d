"""Names in a sentence: "a, b and c", or the first ones and how many more there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

_MOST_NAMED: Final = 6


def listed_names(names: Iterable[str], last: str = "and") -> str:
    """`listed_names("abc")` is "a, b and c"; `last` is the word before the last name."""
    *others, end = names
    return f"{', '.join(others)} {last} {end}" if others else end


def first_names(names: Sequence[str], most: int = _MOST_NAMED) -> str:
    """All names where they are few; else the first ones, as in "a, b and 3 more"."""
    more = len(names) - most
    return listed_names([*names[:most], f"{more} more"] if more > 0 else names)
