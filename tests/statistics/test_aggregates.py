"""Interquartile means, profiles, probabilities of improvement: SciPy's, and published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.examples import max_examples
from torchcross.errors import InputError
from torchcross.statistics import (
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
)

nan = math.nan
RNG = np.random.RandomState(0)
X, Y = RNG.beta(5, 3, (5, 9)).round(3), RNG.beta(5, 3.2, (5, 9)).round(3)
# rliable of 2024 (google-research/rliable) on X and Y, with 20,000, 4,000 and 20,000 resamples.
IQM_X, IQM_Y = (0.6036087, 0.54843152, 0.66013152), (0.60065217, 0.55647717, 0.63847935)
IMPROVEMENT = (0.55777778, 0.43555556, 0.67555556)
PROFILE = ([0.84444444, 0.66666667, 0.48888889], [0.7556, 0.5556, 0.3556], [0.9333, 0.7778, 0.6222])

SCORES = st.lists(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=3, max_size=3),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize(("scores", "published"), [(X, IQM_X), (Y, IQM_Y)])
def test_the_interquartile_mean_is_rliables(scores, published):
    interval = interquartile_mean(scores)
    assert interval.mean == pytest.approx(published[0], abs=1e-8)
    assert (interval.low, interval.high) == pytest.approx(published[1:], abs=0.004)
    assert interval.n == 45


def test_the_probability_of_improvement_is_rliables():
    interval = probability_of_improvement(X, Y)
    assert interval.mean == pytest.approx(IMPROVEMENT[0], abs=1e-8)
    assert (interval.low, interval.high) == pytest.approx(IMPROVEMENT[1:], abs=0.01)


def test_the_profile_is_rliables():
    profile = performance_profile(X, [0.4, 0.5, 0.6])
    assert profile.shares == pytest.approx(PROFILE[0], abs=1e-8)
    assert profile.low == pytest.approx(PROFILE[1], abs=1e-3)
    assert profile.high == pytest.approx(PROFILE[2], abs=1e-3)


@max_examples(24)
@given(first=SCORES, second=SCORES)
def test_the_formulas_are_scipys(first, second):
    x, y = np.array(first), np.array(second)
    assert interquartile_mean(x, resamples=99).mean == pytest.approx(
        stats.trim_mean(x, 0.25, axis=None)
    )
    by_target = [
        stats.mannwhitneyu(x[:, target], y[:, target]).statistic / (len(x) * len(y))
        for target in range(3)
    ]
    forth = probability_of_improvement(x, y, resamples=99)
    back = probability_of_improvement(y, x, resamples=99)
    assert forth.mean == pytest.approx(np.mean(by_target))
    assert forth.mean + back.mean == pytest.approx(1)
    profile = performance_profile(x, [0.0, 0.5, 1.0], resamples=99)
    assert profile.shares == pytest.approx([(x > place).mean() for place in (0.0, 0.5, 1.0)])
    if len(x) > 1:
        assert (profile.low <= profile.shares + 1e-9).all()
        assert (profile.high >= profile.shares - 1e-9).all()


def test_equal_seeds_give_equal_numbers_and_the_order_of_runs_none():
    assert interquartile_mean(X) == interquartile_mean(X)
    assert interquartile_mean(X, seed=1) != interquartile_mean(X)
    assert interquartile_mean(X[::-1]).mean == pytest.approx(interquartile_mean(X).mean)


def test_only_runs_are_resampled_and_not_targets():
    """Runs that agree have an interval of width 0, however far the targets are apart."""
    agreeing = np.tile(X[:1], (4, 1))
    interval = interquartile_mean(agreeing)
    assert interval.low == pytest.approx(interval.mean)
    assert interval.high == pytest.approx(interval.mean)


def test_a_target_with_fewer_runs_counts_as_it_is():
    scores = np.array([[0.1, 0.5], [0.3, nan], [0.2, 0.7]])
    interval = interquartile_mean(scores)
    assert interval.n == 5
    assert interval.mean == pytest.approx(stats.trim_mean([0.1, 0.3, 0.2, 0.5, 0.7], 0.25))
    profile = performance_profile(scores, [0.25])
    assert profile.shares == pytest.approx([(1 / 3 + 1) / 2])
    other = np.array([[0.25, 0.6]])
    assert probability_of_improvement(scores, other).mean == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_one_run_per_target_has_no_interval():
    interval = interquartile_mean(X[:1])
    assert math.isnan(interval.low)
    assert "one run" in interval.note
    assert math.isnan(performance_profile(X[:1], [0.5]).low[0])
    assert math.isnan(probability_of_improvement(X[:1], Y[:1]).low)
    # Where one of the two has several runs, only these vary.
    assert math.isfinite(probability_of_improvement(X[:1], Y).low)


def test_where_one_is_always_better_there_is_no_interval():
    for first, second, mean in ((X + 1, Y, 1.0), (X, Y + 1, 0.0)):
        interval = probability_of_improvement(first, second, resamples=99)
        assert interval.mean == mean
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)
        assert "the better one is the same in all pairs of runs" in interval.note
    # In the middle of its scale what never varies has an interval of width 0.
    equal = probability_of_improvement(X * 0, X * 0, resamples=99)
    assert (equal.low, equal.mean, equal.high) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([0.1, 0.2], "shape"),
        ([["a"]], "no table of numbers"),
        ([[math.inf]], "finite"),
        ([[0.1, nan], [0.2, nan]], r"no run of the targets \[1\]"),
        (np.empty((0, 3)), "shape"),
    ],
)
def test_what_is_no_table_of_runs_is_refused(scores, message):
    with pytest.raises(InputError, match=message):
        interquartile_mean(scores)
    with pytest.raises(InputError, match=message):
        performance_profile(scores, [0.5])


def test_tables_of_other_targets_are_refused():
    with pytest.raises(InputError, match="9 targets and second 8"):
        probability_of_improvement(X, Y[:, :8])
    with pytest.raises(InputError, match="too few"):
        interquartile_mean(X, resamples=10)
    with pytest.raises(InputError, match="no thresholds; give one or more"):
        performance_profile(X, [])
