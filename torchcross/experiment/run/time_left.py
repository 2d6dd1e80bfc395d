"""How long the rest will take, in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple, final

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class UnitTime(NamedTuple):
    """How many seconds a unit took, and when it ended, in seconds since 1970."""

    seconds: float
    ended: float


def kind_of_unit(key: str) -> str:
    """What a unit does: the first word of its key. Units of other kinds take other times."""
    return key.partition("-")[0]


@final
class UnitTimes:
    """The seconds that units took, by key, and with them how long others will take.

    A unit takes as long as those of its row that did the same; where there are none yet, as those
    of other rows.
    """

    def __init__(self, seconds: Mapping[str, float]) -> None:
        self._seconds: dict[str, list[float]] = {}
        for key, count in seconds.items():
            self.add(key, count)

    def add(self, key: str, seconds: float) -> None:
        for group in {kind_of_unit(key), _kind_and_row(key)}:
            self._seconds.setdefault(group, []).append(seconds)

    def seconds_left(self, keys: Iterable[str], at_work: int) -> float | None:
        """The seconds until `at_work` processes have made the units; None while nobody knows."""
        groups = [self._of(key) for key in keys]
        means = [sum(each) / len(each) for each in groups if each]
        return sum(means) / max(at_work, 1) if len(means) == len(groups) else None

    def _of(self, key: str) -> list[float]:
        return self._seconds.get(_kind_and_row(key)) or self._seconds.get(kind_of_unit(key), [])


def _kind_and_row(key: str) -> str:
    """The first two words of a key: `train-protonet`, `score-mm_pt`."""
    return "-".join(key.split("-")[:2])


def duration_text(seconds: float) -> str:
    """A duration to about two digits: "40 s", "12 min", "3.5 h", "2.1 days"."""
    if seconds < 1.5 * _MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < 1.5 * _HOUR:
        return f"{math.ceil(seconds / _MINUTE)} min"
    if seconds < 1.5 * _DAY:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / _DAY:.1f} days"
