"""The interval of a mean over targets covers the mean over these very targets."""

import math

import numpy as np
import pytest

from torchcross.errors import InputError
from torchcross.statistics.intervals import Interval, mean_interval
from torchcross.statistics.over_targets import interval_over_targets


def test_the_squares_of_half_widths_add_up():
    intervals = [Interval(0.6, 0.57, 0.63, 5, "t"), Interval(0.8, 0.76, 0.84, 7, "t")]
    joined = interval_over_targets(intervals)
    assert joined.mean == pytest.approx(0.7)
    assert joined.half == pytest.approx(math.hypot(0.03, 0.04) / 2)
    assert (joined.n, joined.level, joined.over) == (12, 0.95, "episodes")
    (alone,) = intervals[:1]
    one = interval_over_targets([alone])
    assert (one.low, one.high) == pytest.approx((alone.low, alone.high))


def test_a_target_without_an_interval_leaves_the_mean_without_one():
    joined = interval_over_targets(
        [Interval(0.6, math.nan, math.nan, 1, "t"), Interval(0.8, 0.76, 0.84, 7, "t")]
    )
    assert joined.mean == pytest.approx(0.7)
    assert math.isnan(joined.half)


def test_it_covers_the_mean_over_targets_as_often_as_it_says():
    draw = np.random.default_rng(0)
    means, spreads = draw.uniform(0.5, 0.9, 6), draw.uniform(0.02, 0.12, 6)
    hits = 0
    for _ in range(600):
        scores = means[:, None] + spreads[:, None] * draw.standard_normal((6, 20))
        joined = interval_over_targets([mean_interval(row, method="t") for row in scores])
        hits += joined.low <= means.mean() <= joined.high
    # Three standard errors of a share of .95 in 600 draws.
    assert abs(hits / 600 - 0.95) < 0.027


def test_intervals_of_two_levels_and_none_at_all_are_refused():
    with pytest.raises(InputError, match=r"levels \[0.9, 0.95\]"):
        interval_over_targets(
            [Interval(0.6, 0.5, 0.7, 5, "t"), Interval(0.6, 0.5, 0.7, 5, "t", level=0.9)]
        )
    with pytest.raises(InputError, match="one target at least"):
        interval_over_targets([])
