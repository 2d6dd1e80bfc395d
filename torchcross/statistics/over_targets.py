"""Intervals over targets: of a mean over these very ones, and of a difference over such targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from torchcross.errors import InputError
from torchcross.statistics.bounds import Bounds
from torchcross.statistics.intervals import Interval
from torchcross.statistics.pairs import Difference, paired_difference

FEWEST_OF_INTERVAL: Final = 3
"""With two targets Student's t has one degree of freedom: its quantile at 95 % is 12.7."""


def difference_over_targets(
    x: ArrayLike, y: ArrayLike, level: float, bounds: Bounds | None
) -> Difference:
    """The paired difference of means over targets, with an interval that the metric can have.

    Two targets have none: half of it would be 6.4 times the distance of their two differences (at
    95 %), a guess about the tails of a normal distribution. `bounds` are those of the metric;
    values beyond them are in another unit, and then the interval is as it is.
    """
    difference = paired_difference(x, y, level=level)
    if difference.n < FEWEST_OF_INTERVAL:
        interval = replace(difference.interval, low=math.nan, high=math.nan)
        return replace(difference, interval=interval)
    values = np.concatenate([np.asarray(x), np.asarray(y)])
    if bounds is None or values.min() < bounds[0] or values.max() > bounds[1]:
        return difference
    widest = bounds[1] - bounds[0]
    interval = difference.interval
    low, high = max(interval.low, -widest), min(interval.high, widest)
    return replace(difference, interval=replace(interval, low=low, high=high))


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
