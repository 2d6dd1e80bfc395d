"""A run's folder takes further algorithms, training seeds, targets and shots; its rows are kept.

They decide which cells there are. No cell depends on the others, but for shots: smaller supports
are nested in larger ones, so only numbers below those that are there can be added. Nor does a cell
depend on plugin files that came later: a plugin adds names, and replaces none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torchcross.experiment.run.change_words import (
    difference_in_words,
    plugin_difference,
    value_of,
)
from torchcross.experiment.run.identity import differences
from torchcross.experiment.run.recorded_plugins import PLUGINS
from torchcross.experiment.settings.shots import support_shots, with_shots_as_now


def changes_beyond_growth(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """The dotted names of decisive settings that differ, and do not only have more cells now."""
    for name in differences(dict(before), dict(now)):
        has_grown = _GROWTH.get(name)
        if has_grown is None or not has_grown(with_shots_as_now(before), with_shots_as_now(now)):
            yield name


def describe_change(
    name: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    plugin_names: Mapping[str, str],
) -> str:
    """What a setting is in the run and in the experiment that goes on with it, and what may be."""
    if name == PLUGINS:
        return f"{plugin_difference(before, now, plugin_names, 'the run')} ({_ADVICE[name]})"
    old, new = (_value_of(name, settings) for settings in (before, now))
    if name in _GROWTH and isinstance(old, list) and isinstance(new, list):
        missing = [str(value) for value in old if value not in new] if new else []
        verb = "are" if len(missing) > 1 else "is"
        also = f", and {', '.join(missing)} {verb} missing" if missing else ""
        return f"{name}: the run has {old}, and these settings {new}{also} ({_ADVICE[name]})"
    return f"{difference_in_words(name, before, now, 'the run')}{_REASONS.get(name, '')}"


def _value_of(name: str, settings: Mapping[str, Any]) -> Any:
    value = value_of(name, with_shots_as_now(settings))
    return [] if value is None and name in _GROWTH else value


def _more_algorithms(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return set(before["algorithms"]) <= set(now["algorithms"])


def _more_seeds(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Examples are shown of the first seed."""
    is_same_first = before["seeds"][:1] == now["seeds"][:1]
    return is_same_first and set(before["seeds"]) <= set(now["seeds"])


def _more_targets(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """No names are all targets."""
    earlier, later = before["data"].get("targets", []), now["data"].get("targets", [])
    return not later or (bool(earlier) and set(earlier) <= set(later))


def _more_shots(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    earlier, later = (sorted(support_shots(each["shots"])) for each in (before, now))
    has_all = set(before["shots"]) <= set(now["shots"])
    return has_all and (not earlier or later[-len(earlier) :] == earlier)


def _more_plugins(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """By their contents."""
    return set(before.get("plugins", [])) <= set(now.get("plugins", []))


_GROWTH = {
    "algorithms": _more_algorithms,
    "seeds": _more_seeds,
    "data.targets": _more_targets,
    "shots": _more_shots,
    "plugins": _more_plugins,
}
_ADVICE = {
    "algorithms": "algorithms can be added, and none left out",
    "seeds": "seeds can be added behind the others, and none left out",
    "data.targets": "targets can be added, and none left out; an empty list has them all",
    "shots": "numbers can be added below the smallest one, and none left out: a smaller support may"
    " be drawn from the next larger one, so that one between or above would change its rows",
    "plugins": "files can be added, and none changed or left out: give those of the run as they"
    " were, --plugin FILE",
}
_REASONS = {
    "evaluation.episodes": " (a run keeps its number of episodes, which its tests and tables count)"
}
