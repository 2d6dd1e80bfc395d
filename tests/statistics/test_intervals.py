"""Intervals against SciPy to the last digits, and what is said where nothing varies."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.examples import max_examples
from torchcross.errors import InputError
from torchcross.statistics import (
    hierarchical_interval,
    mean_interval,
    paired_difference,
    seeded_difference,
)
from torchcross.statistics.resampling import crossed_means, nested_means, resampled_means
from torchcross.statistics.special_functions import nemenyi_q

RNG = np.random.RandomState(0)
SKEWED = RNG.gamma(0.7, size=40)
nan = math.nan


@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 3, 100])
def test_t_and_normal_intervals_are_scipys(n, level):
    values = RNG.random_sample(n)
    for method, law in (("t", stats.t(n - 1)), ("normal", stats.norm())):
        found = mean_interval(values, method=method, level=level)
        low, high = values.mean() + np.array(law.interval(level)) * stats.sem(values)
        assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)
        assert found.mean == pytest.approx(values.mean(), rel=1e-15)
        assert (found.n, found.method, found.level, found.note) == (n, method, level, "")
        assert found.half == pytest.approx((high - low) / 2, rel=1e-12)


@pytest.mark.parametrize("values", [SKEWED, -SKEWED, SKEWED[:3]], ids=["right", "left", "three"])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_bca_is_scipys_on_the_same_bootstrap_samples(values, level):
    found = mean_interval(values, method="bca", level=level, seed=5, resamples=2000)
    means = resampled_means(np.sort(values), 5, 2000)
    earlier = SimpleNamespace(bootstrap_distribution=means)
    theirs = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=0,
        bootstrap_result=earlier,
        method="BCa",
        confidence_level=level,
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-10)
    assert found.low < found.mean < found.high


def test_bca_leans_to_where_the_tail_is():
    bca, plain = mean_interval(SKEWED, method="bca"), mean_interval(SKEWED)
    assert bca.high - bca.mean > bca.mean - bca.low
    assert plain.high - plain.mean == pytest.approx(plain.mean - plain.low)


def test_bca_of_few_levels_counts_ties_by_half():
    # Means of zeros and ones tie with their own mean in a good part of the samples; symmetric data
    # keeps its symmetry.
    found = mean_interval([0.1] * 10 + [0.7] * 10, method="bca")
    assert found.high - found.mean == pytest.approx(found.mean - found.low, abs=0.031)


@max_examples(15)
@given(
    values=st.lists(st.floats(-1, 1) | st.just(nan), max_size=12),
    method=st.sampled_from(["t", "normal", "bca"]),
)
def test_no_order_changes_a_bit(values, method):
    assert repr(mean_interval(values, method=method)) == repr(
        mean_interval(values[::-1], method=method)
    )


def test_seeds_give_samples_and_repeat():
    first = mean_interval(SKEWED, method="bca", seed=1)
    assert first == mean_interval(SKEWED, method="bca", seed=1)
    assert first.low != mean_interval(SKEWED, method="bca", seed=2).low


@pytest.mark.parametrize("method", ["t", "normal", "bca"])
def test_where_nothing_varies(method):
    none = mean_interval([nan, nan], method=method)
    assert math.isnan(none.mean)
    assert math.isnan(none.half)
    assert (none.n, none.undefined) == (0, 2)
    assert none.note == "2 of 2 values undefined, left out; no value is defined"
    assert str(none) == "undefined"
    one = mean_interval([0.25], method=method)
    assert one.mean == 0.25
    assert math.isnan(one.low)
    assert one.note == "one value has no interval"
    assert str(one) == "0.250"
    equal = mean_interval([0.1] * 3, method=method)
    assert (equal.mean, equal.low, equal.high, equal.half) == (0.1, 0.1, 0.1, 0.0)
    assert equal.note == "all 3 values are equal"
    assert mean_interval([], method=method).n == 0


@pytest.mark.parametrize("method", ["t", "normal", "bca"])
@pytest.mark.parametrize("end", [0.0, 1.0])
def test_values_at_an_end_of_the_scale_have_no_interval(method, end):
    perfect = mean_interval([end] * 20, method=method, bounds=(0, 1))
    assert (perfect.mean, perfect.n) == (end, 20)
    assert math.isnan(perfect.low)
    assert math.isnan(perfect.high)
    reason = f"no interval can be estimated: all 20 values are {end:g}, an end of the scale"
    assert perfect.note == reason
    seeds = hierarchical_interval([[end] * 8, [end] * 8], bounds=(0, 1))
    assert math.isnan(seeds.half)
    assert "all 16 values are" in seeds.note
    # In the middle of a scale, or without one, equal values hardly vary.
    assert mean_interval([0.5] * 20, method=method, bounds=(0, 1)).half == 0
    assert mean_interval([end] * 20, method=method).half == 0


@pytest.mark.parametrize("method", ["t", "normal", "bca"])
@pytest.mark.parametrize("size", [5e-324, 3.8e-234, 1e-160, 1e160, 1e300])
def test_the_size_of_the_values_does_not_matter(method, size):
    plain, scaled = (mean_interval([0.0, value, value], method=method) for value in (1.0, size))
    bounds = [getattr(scaled, name) / size for name in ("mean", "low", "high")]
    # The smallest numbers of all have no digits to round to.
    tolerance = 1 if size < 1e-300 else 1e-9
    assert bounds == pytest.approx([plain.mean, plain.low, plain.high], abs=tolerance)


@pytest.mark.parametrize("size", [5e-324, 3.8e-234, 1e160])
def test_tests_of_tiny_and_of_huge_differences_are_those_of_plain_ones(size):
    plain, scaled = np.array([1.0, 2.0, 4.0]), size * np.array([1.0, 2.0, 4.0])
    zeros = np.zeros(3)
    assert paired_difference(scaled, zeros).p == pytest.approx(paired_difference(plain, zeros).p)
    one, other = ([values, values[::-1]] for values in (plain, scaled))
    assert seeded_difference(other).p == pytest.approx(seeded_difference(one).p)
    assert hierarchical_interval(other).half / size == pytest.approx(
        hierarchical_interval(one).half, abs=1 if size < 1e-300 else 1e-9
    )


def test_undefined_values_are_counted_and_never_zero():
    found = mean_interval([0.5, nan, 0.7, nan])
    assert found.mean == pytest.approx(0.6)
    assert (found.n, found.undefined, found.note) == (2, 2, "2 of 4 values undefined, left out")
    assert (found.low, found.high) == (
        mean_interval([0.5, 0.7]).low,
        mean_interval([0.5, 0.7]).high,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"values": [1, math.inf]}, "1 infinite"),
        ({"values": [[1, 2]]}, "shape"),
        ({"values": ["a"]}, "no numbers"),
        ({"values": [1, 2], "method": "z"}, "choose from"),
        ({"values": [1, 2], "level": 95}, "between 0 and 1"),
        ({"values": [1, 2], "method": "bca", "resamples": 10}, "99 or more"),
    ],
)
def test_bad_input_is_named(arguments, said):
    with pytest.raises(InputError, match=said):
        mean_interval(**arguments)


# -- training seeds --------------------------------------------------------------------------------


def test_the_bootstrap_has_the_variance_of_its_design():
    """Of the mean of S x E values: var(rows) / S + var(columns) / E + rest, for a table of row and
    column effects.
    """
    row, column = np.array([0.0, 1.0, 3.0, 4.0]), RNG.normal(size=30)
    crossed = crossed_means(row[:, None] + column, 0, 20000)
    assert crossed.var() == pytest.approx(row.var() / 4 + column.var() / 30, rel=0.05)
    nested = nested_means(list(row[:, None] + column), 0, 20000)
    assert nested.var() == pytest.approx(row.var() / 4 + column.var() / 30 / 4, rel=0.05)
    assert crossed.mean() == pytest.approx(row.mean() + column.mean(), abs=0.03)
    assert nested.mean() == pytest.approx(row.mean() + column.mean(), abs=0.03)


def test_more_between_seeds_is_more_width():
    episodes = RNG.normal(size=50)
    close = hierarchical_interval([episodes + 0.01 * seed for seed in range(5)])
    apart = hierarchical_interval([episodes + 1.0 * seed for seed in range(5)])
    assert apart.half > 2 * close.half
    assert close.note == ""
    # Seeds that agree leave the variance of the episodes, which the t interval knows.
    assert close.half == pytest.approx(mean_interval(episodes).half, rel=0.1)


def test_one_seed_says_what_was_not_measured():
    episodes = RNG.normal(size=80)
    found = hierarchical_interval([episodes])
    assert found.note == "training variance was not measured: there is one training seed"
    assert found.half == pytest.approx(mean_interval(episodes).half, rel=0.1)
    assert "2 training seeds are few" in hierarchical_interval([episodes, episodes + 1]).note


def test_cells_that_are_undefined_are_left_out():
    found = hierarchical_interval([[0.5, nan, 0.7, 0.1], [0.6, 0.2, nan, 0.2]])
    assert found.mean == pytest.approx(np.mean([0.5, 0.7, 0.1, 0.6, 0.2, 0.2]))
    assert (found.n, found.undefined) == (6, 2)
    assert "2 of 8 values undefined" in found.note
    assert found.low <= found.mean <= found.high
    uneven = hierarchical_interval([[0.5, nan, 0.7], [0.6, 0.2]], shared_episodes=False)
    assert (uneven.n, uneven.undefined) == (4, 1)
    assert uneven.low < 0.2 < 0.7 < uneven.high


def test_nested_groups_keep_to_their_own_length():
    means = nested_means([np.array([1.0]), np.array([2.0] * 7)], 0, 500)
    # Seed by seed: 1, 2, or one value of 1 beside seven of 2.
    assert set(np.round(means, 9)) == {1.0, 1.875, 2.0}


def test_a_large_table_is_resampled_in_blocks(monkeypatch):
    values = RNG.random_sample(1000)
    whole = resampled_means(values, 3, 1500)
    assert len(whole) == 1500
    assert len(set(whole.tolist())) == 1500
    assert whole.std() == pytest.approx(values.std() / math.sqrt(1000), rel=0.1)
    matrix = values.reshape(2, 500)
    assert len(set(crossed_means(matrix, 3, 3000).tolist())) == 3000
    assert len(set(nested_means(list(matrix), 3, 3000).tolist())) == 3000


def test_groups_that_do_not_fit():
    with pytest.raises(InputError, match="shared_episodes=False"):
        hierarchical_interval([[0.5], [0.5, 0.6]])
    with pytest.raises(InputError, match="no groups"):
        hierarchical_interval([])
    with pytest.raises(InputError, match="no groups"):
        hierarchical_interval([[0.5], []])
    constant = hierarchical_interval([[0.5, 0.5], [0.5, 0.5]])
    assert (constant.low, constant.high) == (0.5, 0.5)


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.344), (4, 2.569), (5, 2.728)])
def test_nemenyis_quantiles(k, q):
    assert nemenyi_q(k, 0.95) == pytest.approx(q, abs=5e-4)
    assert nemenyi_q(k, 0.95) == pytest.approx(
        stats.studentized_range.ppf(0.95, k, np.inf) / math.sqrt(2), rel=1e-9
    )
    assert nemenyi_q(k, 0.9) < nemenyi_q(k, 0.95) < nemenyi_q(k, 0.99)
