"""How far algorithms fall from balanced supports to supports as they come."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from torchcross.records.records import Records
from torchcross.statistics.intervals import Interval, mean_interval


@final
@dataclass(frozen=True)
class Fall:
    """One algorithm at one number of shots, averaged over the targets of both tables.

    balanced, natural  mean scores, each over its own episodes
    fall               the first less the second, with its interval over the episodes of both: they
                       are other episodes, so nothing is paired
    over               the targets that it is averaged over
    """

    algorithm: str
    shots: int
    balanced: float
    natural: float
    fall: Interval
    over: tuple[str, ...]

    @property
    def targets(self) -> int:
        """How many targets it is averaged over."""
        return len(self.over)


def falls(balanced: Records, natural: Records, metric: str) -> list[Fall]:
    """One value for each algorithm and number of shots that both tables have on some target.

    The scores of several training seeds are averaged within each episode. Episodes without a score
    are left out.
    """
    result = []
    for algorithm in balanced.unique("algorithm"):
        for shots in balanced.unique("shots"):
            sides = [
                _targets(table, str(algorithm), int(shots), metric) for table in (balanced, natural)
            ]
            common = [name for name in sides[0] if name in sides[1]]
            if common:
                pairs = {name: (sides[0][name], sides[1][name]) for name in common}
                result.append(_fall(str(algorithm), int(shots), pairs))
    return result


def _targets(records: Records, algorithm: str, shots: int, metric: str) -> dict[str, Interval]:
    """The mean of each target that has a score."""
    rows = records.where(algorithm=algorithm, shots=shots, metric=metric)
    intervals = {}
    for target in rows.unique("target"):
        columns = rows.where(target=target).columns
        _, places = np.unique(columns["episode"], return_inverse=True)
        values = columns["value"]
        known = ~np.isnan(values)
        counts = np.bincount(places[known], minlength=places.max() + 1)
        sums = np.bincount(places[known], values[known], minlength=places.max() + 1)
        if counts.any():
            intervals[str(target)] = mean_interval(sums[counts > 0] / counts[counts > 0])
    return intervals


def _fall(algorithm: str, shots: int, by_target: Mapping[str, tuple[Interval, Interval]]) -> Fall:
    """Variances of independent means add up; halves of intervals stand for standard errors."""
    count, pairs = len(by_target), by_target.values()
    before, after = (math.fsum(pair[side].mean for pair in pairs) / count for side in (0, 1))
    half = math.sqrt(math.fsum(each.half**2 for pair in pairs for each in pair)) / count
    fall = before - after
    episodes = sum(each.n for pair in pairs for each in pair)
    interval = Interval(fall, fall - half, fall + half, episodes, "t")
    return Fall(algorithm, shots, before, after, interval, tuple(by_target))
