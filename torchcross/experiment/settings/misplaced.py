"""The error text about a setting that a section has not: misspelt, or at home in another one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from torchcross._kit.listed_names import listed_names
from torchcross._kit.suggestions import suggest

_FAR, _NEAR = 0.5, 0.7
"""Below the first, two names have nothing in common; from the second on they are one with a slip.
"""


def unknown_setting(name: str, place: str, own: Sequence[str], every: Sequence[str]) -> str:
    """No setting has this name in the section at `place`, its dotted name with a dot, or "".

    own, every  the settings of the section, and of the whole experiment, by dotted names
    """
    meant = _settings_called(name, place, every) or _settings_nearer(name, place, own, every)
    if not meant:
        # Names of one section are alike by their beginning alone.
        unlike = own if _likeness(name, own) < _FAR else ()
        full = f"{place}{name}"
        return f"no setting is called {full!r}; {suggest(full, own, unlike)}"
    either = listed_names(map(repr, meant), "or")
    text = f"no setting is called '{place}{name}'; did you mean {either}?"
    if not place:
        return text
    homes = dict.fromkeys(each.rpartition(".")[0] for each in meant)
    names = (f"[{home}]" if home else "the part above all sections" for home in homes)
    sections = listed_names(names, "or")
    return f"{text} In a TOML file, {_last(meant[0])!r} stands in {sections}"


def _settings_called(name: str, place: str, every: Sequence[str]) -> list[str]:
    """Settings of exactly this name elsewhere; those below the section come before the others."""
    same = [each for each in every if _last(each) == name]
    return [each for each in same if each.startswith(place)] or same


def _settings_nearer(name: str, place: str, own: Sequence[str], every: Sequence[str]) -> list[str]:
    """Settings elsewhere whose name is a slip away, and nearer than any of the section."""
    likeness = _likeness(name, every)
    if likeness < _NEAR or likeness <= _likeness(name, own):
        return []
    near = next(_last(each) for each in every if _likeness(name, [each]) == likeness)
    return _settings_called(near, place, every)


def _likeness(name: str, settings: Iterable[str]) -> float:
    """How near the nearest is: by its last part, or by all where the name has several parts."""
    names = settings if "." in name else map(_last, settings)
    return max((difflib.SequenceMatcher(None, name, each).ratio() for each in names), default=0.0)


def _last(setting: str) -> str:
    return setting.rpartition(".")[2]
