"""How long the rest will take, in words."""

from __future__ import annotations

import math
from collections import Counter
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
        self._sums: dict[str, tuple[int, float]] = {}
        """The units of a group, and the sum of their seconds."""
        for key, count in seconds.items():
            self.add(key, count)

    def add(self, key: str, seconds: float) -> None:
        for group in {kind_of_unit(key), group_of_unit(key)}:
            count, total = self._sums.get(group, (0, 0.0))
            self._sums[group] = count + 1, total + seconds

    def seconds_left(self, keys: Iterable[str], at_work: int) -> float | None:
        """The seconds until `at_work` processes have made the units; None while nobody knows."""
        return self.seconds_of_groups(Counter(map(group_of_unit, keys)), at_work)

    def seconds_of_groups(self, units: Mapping[str, int], at_work: int) -> float | None:
        """The same for so many units of each group, as `group_of_unit` names them."""
        total = 0.0
        for group, count in units.items():
            if not count:
                continue
            mean = self._mean_of(group)
            if mean is None:
                return None
            total += count * mean
        return total / max(at_work, 1)

    def _mean_of(self, group: str) -> float | None:
        count, total = self._sums.get(group) or self._sums.get(kind_of_unit(group), (0, 0.0))
        return total / count if count else None


def group_of_unit(key: str) -> str:
    """What a unit does and its row: the first two words of its key, as in `train-protonet`."""
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
