"""What to say of a name that nobody has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["unknown"]


def unknown(kind: str, given: str, known: Iterable[str] | Mapping[str, Any]) -> str:
    names = list(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    guess = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(names)[:20])}"
    return f"no {kind} is called {given!r}; {guess}"
