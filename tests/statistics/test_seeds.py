"""Several training seeds: intervals cover what they promise, tests keep their size, and few seeds
say little.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tests.records.sample_records import table
from torchcross.errors import InputError
from torchcross.statistics import (
    hierarchical_interval,
    paired_difference,
    seeded_difference,
    within_target,
)
from torchcross.statistics.seeds import spread_of

TABLES = 250
nan = math.nan


def tables(seeds, between, rng):
    """Yield (training seeds x episodes) scores around .7, as of one algorithm on one target."""
    for _ in range(TABLES):
        yield (
            0.7
            + between * rng.normal(size=(seeds, 1))
            + 0.05 * rng.normal(size=(1, 30))
            + 0.02 * rng.normal(size=(seeds, 30))
        )


@pytest.mark.parametrize("between", [0.0, 0.01, 0.03])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_cover_and_tests_keep_their_size(seeds, between):
    rng = np.random.RandomState(10 * seeds)
    covered = rejected = 0
    for scores in tables(seeds, between, rng):
        found = hierarchical_interval(list(scores), resamples=199)
        covered += found.low <= 0.7 <= found.high
        # Of two algorithms; how hard an episode is, is in both and drops out.
        differences = 1.4 * between * rng.normal(size=(seeds, 1)) + 0.03 * rng.normal(
            size=(seeds, 30)
        )
        rejected += seeded_difference(list(differences)).p <= 0.05
    assert covered / TABLES >= 0.92
    assert rejected / TABLES <= 0.08


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3])
def test_two_algorithms_of_equal_worth_are_rarely_told_apart(seeds):
    rng = np.random.RandomState(0)
    found = 0
    for _ in range(100):
        episodes = rng.normal(0.7, 0.05, 30)
        scores = {
            name: {
                seed: episodes + rng.normal(0, 0.03) + rng.normal(0, 0.01, 30)
                for seed in range(seeds)
            }
            for name in "ab"
        }
        found += within_target(table(scores), "ink/shape", "auroc", 5).pairs[0].p <= 0.05
    assert found <= 8


def test_a_difference_that_all_seeds_have_is_found():
    rng = np.random.RandomState(1)
    rows = 0.02 + 0.003 * rng.normal(size=(3, 1)) + 0.02 * rng.normal(size=(3, 60))
    found = seeded_difference(list(rows))
    assert found.p < 0.05
    assert found.low > 0


def test_one_number_per_seed_is_a_t_test_over_seeds():
    assert seeded_difference([[0.02], [0.03]]).p == pytest.approx(
        stats.ttest_1samp([0.02, 0.03], 0).pvalue
    )
    three = seeded_difference([[0.02], [0.03], [0.01]])
    low, high = stats.t(2, 0.02, 0.01 / math.sqrt(3)).interval(0.95)
    assert (three.low, three.high) == pytest.approx((low, high))
    interval = hierarchical_interval([[0.44], [0.50]])
    assert interval.half == pytest.approx(stats.t(1).ppf(0.975) * 0.03)
    assert interval.low < 0.44 < 0.50 < interval.high


def test_each_part_alone_is_its_t_test():
    episodes = np.random.RandomState(2).normal(0.01, 0.05, 30)
    # Training that changes nothing leaves the episodes, and one seed knows as much.
    assert seeded_difference([episodes, episodes]).p == pytest.approx(
        paired_difference(episodes, 0 * episodes).p
    )
    shifts = np.array([0.01, 0.05, 0.02])
    flat = seeded_difference([[shift] * 30 for shift in shifts])
    assert flat.p == pytest.approx(stats.ttest_1samp(shifts, 0).pvalue)


def test_squares_of_both_halves_add_up():
    rng = np.random.RandomState(3)
    rows = rng.normal(size=(4, 1)) + rng.normal(size=(1, 20)) + rng.normal(size=(4, 20))
    spread = spread_of(list(rows), True)
    halves = [
        stats.t(len(means) - 1).ppf(0.95) * stats.sem(means)
        for means in (rows.mean(axis=1), rows.mean(axis=0))
    ]
    assert spread.half(0.9) == pytest.approx(math.hypot(*halves))
    found = hierarchical_interval(list(rows), level=0.9)
    assert found.high - found.low == pytest.approx(2 * spread.half(0.9))
    apart = spread_of(list(rows), False)
    assert (apart.by_seed, apart.by_episode) == (spread.by_seed, 0)


def test_p_is_of_the_level_at_which_the_interval_ends_at_zero():
    rng = np.random.RandomState(4)
    rows = list(0.3 + 0.1 * rng.normal(size=(3, 1)) + 0.2 * rng.normal(size=(3, 25)))
    p = seeded_difference(rows).p
    assert 0 < p < 0.5
    assert seeded_difference(rows, level=1 - p).low == pytest.approx(0, abs=1e-9)
    assert seeded_difference([-row for row in rows]).p == pytest.approx(p)
    certain = seeded_difference([1e3 + 1e-6 * rng.normal(size=400) for _ in range(30)])
    assert 0 < certain.p < 1e-100


def test_the_resampling_says_how_the_interval_leans():
    steps = -np.random.RandomState(5).gamma(0.5, size=60)
    found = hierarchical_interval([steps, steps, steps, steps])
    assert found.mean - found.low > 1.05 * (found.high - found.mean)


def test_seeds_of_unequal_size_count_for_what_they_have():
    rows = [np.arange(40.0), np.where(np.arange(40) < 2, 100.0, nan)]
    spread = spread_of(rows, True)
    share = (40**2 + 2**2) / 42**2
    assert spread.by_seed == pytest.approx(np.var([19.5, 100.0], ddof=1) * share)
    assert spread.seeds == 1


def test_means_that_agree_of_values_that_do_not():
    found = seeded_difference([[0.0, 1.0], [1.0, 0.0]])
    assert 0 < found.p < 1
    assert found.half > 0.25
    middle = hierarchical_interval([[0.1], [0.2]], level=0.3)
    assert middle.high - 0.15 == pytest.approx(0.15 - middle.low) == pytest.approx(middle.half)


def test_a_seed_without_a_value_is_no_seed():
    found = hierarchical_interval([[0.5, 0.6, 0.8], [nan] * 3])
    assert (found.n, found.undefined) == (3, 3)
    assert "there is one training seed" in found.note
    assert "3 of 6 values undefined" in found.note
    with pytest.raises(InputError, match="99 or more"):
        hierarchical_interval([[0.5], [0.6]], resamples=3)
