"""Error texts about a name that nothing has: the one that was meant, and those that there are."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

_LISTED = 20


def unknown_name(kind: str, name: object, known: Iterable[str]) -> str:
    """No {kind} is called {name}, and what to write instead."""
    return f"no {kind} is called {name!r}; {suggest(name, known)}"


def suggest(name: object, known: Iterable[str], used: Collection[str] = ()) -> str:
    """The end of an error text: the known name that is nearest, and the known names.

    used  known names that have their use already: none of them is meant
    """
    names = list(known)
    unused = [each for each in names if each not in used]
    listed = ", ".join(map(repr, names[:_LISTED])) or "none"
    if len(names) > _LISTED:
        listed += f", ... ({len(names)} in all)"
    near = difflib.get_close_matches(str(name), unused, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}? There are {listed}"
    return f"there are {listed}"
