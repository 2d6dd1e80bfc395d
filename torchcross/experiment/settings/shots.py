"""The setting `shots`: numbers of support images per class, and "all" for the row `supervised`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from torchcross.records.shots import ALL

ShotsSetting = int | Literal["all"]

_EARLIER, _NOW = [0], [ALL]
"""Of an experiment whose one row is `supervised`, as versions before "all" wrote it, and now."""


def episode_shots(shots: Iterable[Any]) -> tuple[int, ...]:
    """The numbers of shots that episodes have; 0 is one of them."""
    return tuple(count for count in shots if count != ALL)


def support_shots(shots: Iterable[Any]) -> tuple[int, ...]:
    """The numbers of shots that supports are drawn with: their queries are those of 0 shots too."""
    numbers = episode_shots(shots)
    return tuple(count for count in numbers if count) or ((1,) if numbers else ())


def with_shots_as_now(values: Mapping[str, Any]) -> dict[str, Any]:
    """An experiment's plain values with a list of shots, in which all labels are "all".

    In earlier versions the row `supervised` stood alone, and had 0 shots.
    """
    values = dict(values)
    if values.get("shots") == ALL:
        values["shots"] = [ALL]
    if _is_supervised_alone(values) and list(values["shots"]) == _EARLIER:
        values["shots"] = [*_NOW]
    return values


def with_shots_as_stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same as files have it: what every version could ask for stays as it always was."""
    values = dict(values)
    if _is_supervised_alone(values) and list(values["shots"]) == _NOW:
        values["shots"] = [*_EARLIER]
    return values


def _is_supervised_alone(values: Mapping[str, Any]) -> bool:
    shots, rows = values.get("shots"), values.get("algorithms")
    are_lists = isinstance(shots, list | tuple) and isinstance(rows, list | tuple)
    return are_lists and list(rows or ()) == ["supervised"]
