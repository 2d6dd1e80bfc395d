"""How the settings of a folder and those of now differ, in words: one setting a line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from torchcross._kit.counts import count_text
from torchcross.experiment.run.recorded_plugins import PLUGINS, plugins_in_words

_LONGEST: Final = 60
_MOST: Final = 10
_DIGEST: Final = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{52}\b")


def value_of(name: str, settings: Mapping[str, Any]) -> Any:
    """None where there is none. The settings of a row have dots in their own names."""
    for key, value in settings.items():
        if key == name:
            return value
        if isinstance(value, Mapping) and name.startswith(f"{key}."):
            return value_of(name.removeprefix(f"{key}."), value)
    return None


def difference_in_words(
    name: str, before: Mapping[str, Any], now: Mapping[str, Any], owner: str
) -> str:
    """What a setting is in a folder (the `owner`, "the run"), and what it is now."""
    old, new = (_text_of(value_of(name, settings)) for settings in (before, now))
    return f"{name}: {owner} has {old}, and these settings {new}"


def plugin_difference(
    before: Mapping[str, Any], now: Mapping[str, Any], names: Mapping[str, str], owner: str
) -> str:
    """The same of the plugin files, which are known by their content."""
    old, new = (settings.get(PLUGINS) or [] for settings in (before, now))
    return f"{PLUGINS}: {plugins_in_words(old, new, names, owner)}"


def listed_differences(
    names: Iterable[str],
    describe: Callable[[str], str],
    before: Mapping[str, Any],
    now: Mapping[str, Any],
) -> str:
    """A line for each of the first settings, single values before lists, and how many more."""

    def has_parts(name: str) -> bool:
        return any(isinstance(value_of(name, each), list | Mapping) for each in (before, now))

    ordered = sorted(names, key=has_parts)
    lines = [describe(name) for name in ordered[:_MOST]]
    left = len(ordered) - _MOST
    more = [count_text(left, "more settings")] if left > 0 else []
    return "".join(f"\n- {line}" for line in (*lines, *more))


def _text_of(value: Any) -> str:
    if value is None:
        return "none"
    text = _DIGEST.sub(r"\1", repr(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
