"""The interval of a mean over targets covers the mean over these very targets."""

import math

import numpy as np
import pytest

from torchcross.errors import InputError
from torchcross.records import Means
from torchcross.statistics import across_targets
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


def across(rows, metric="auroc"):
    return across_targets(Means(rows, ["a", "b"], metric=metric))


def test_two_targets_give_no_interval_of_a_difference():
    two = across([[0.62, 0.52], [0.80, 0.52]])
    (pair,) = two.pairs
    assert pair.difference.mean == pytest.approx(0.19)
    assert math.isnan(pair.difference.low)
    assert math.isnan(pair.difference.high)
    (reason,) = [text for text in two.warnings if "no interval of a difference" in text]
    assert "over 2 targets" in reason
    three = across([[0.62, 0.52], [0.80, 0.52], [0.7, 0.6]])
    assert math.isfinite(three.pairs[0].difference.half)
    assert not [text for text in three.warnings if "no interval of a difference" in text]


def test_an_interval_of_a_difference_stays_within_what_the_metric_can_be():
    rows = [[1.0, 0.0], [0.1, 0.9], [0.9, 0.2]]
    (pair,) = across(rows).pairs
    assert (pair.difference.low, pair.difference.high) == (-1, 1)
    (kappa,) = across(rows, metric="qwk").pairs
    assert (kappa.difference.low, kappa.difference.high) == (pytest.approx(-2), pytest.approx(2))
    # Percentages of a paper, and scores of no known scale, stay as they are.
    (percent,) = across([[100 * value for value in row] for row in rows]).pairs
    (open_ended,) = across(rows, metric="").pairs
    assert open_ended.difference.high == pytest.approx(percent.difference.high / 100)
    assert open_ended.difference.high > 1
