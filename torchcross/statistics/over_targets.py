"""The interval of a mean over targets, from the intervals on each of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torchcross.errors import InputError
from torchcross.statistics.intervals import Interval


def interval_over_targets(intervals: Sequence[Interval]) -> Interval:
    """The mean over these very targets, each weighing the same, and where it may lie.

    The targets are no sample: the interval says nothing of other targets. Scores of different
    targets are taken to be independent, so the squares of the half widths add up. Where a target
    has no interval, the mean has none. All `intervals` have one level.
    """
    if not intervals:
        raise InputError("a mean over targets needs the interval of one target at least")
    levels = sorted({interval.level for interval in intervals})
    if len(levels) > 1:
        raise InputError(f"the intervals have the levels {levels}; give intervals of one level")
    count = len(intervals)
    mean = math.fsum(interval.mean for interval in intervals) / count
    half = math.sqrt(math.fsum(interval.half**2 for interval in intervals)) / count
    return Interval(
        mean,
        mean - half,
        mean + half,
        sum(interval.n for interval in intervals),
        "over these targets",
        levels[0],
        over=intervals[0].over,
    )
