"""Paired tests against SciPy and against counting; Holm by hand."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version
from scipy import stats

from tests.examples import max_examples
from torchcross.errors import InputError
from torchcross.statistics import (
    holm,
    mean_interval,
    paired_difference,
    seeded_difference,
    wilcoxon,
)
from torchcross.statistics.pairs import without_rounding
from torchcross.statistics.signed_ranks import average_ranks

RNG = np.random.RandomState(1)
# scipy 1.15 gave its normal approximation another name.
NORMAL = "asymptotic" if Version(scipy.__version__) >= Version("1.15") else "approx"
nan = math.nan


@pytest.mark.parametrize("n", [2, 5, 100])
def test_the_paired_t_test_is_scipys(n):
    x, y = RNG.random_sample((2, n))
    found, theirs = paired_difference(x, y), stats.ttest_rel(x, y)
    low, high = theirs.confidence_interval(0.95)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-10)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-10)
    assert (found.n, found.test, found.note) == (n, "paired t", "")
    assert found.mean == pytest.approx((x - y).mean())
    assert paired_difference(y, x).p == found.p
    assert paired_difference(y, x).mean == pytest.approx(-found.mean)


def test_a_tiny_p_is_not_rounded_to_nothing():
    x = 0.9 + 0.01 * RNG.random_sample(100)
    y = 0.1 + 0.01 * RNG.random_sample(100)
    assert 0 < paired_difference(x, y).p == pytest.approx(stats.ttest_rel(x, y).pvalue, rel=1e-8)


def test_pairs_with_a_gap_are_left_out():
    found = paired_difference([0.5, nan, 0.7, 0.6], [0.4, 0.1, nan, 0.3])
    assert (found.n, found.interval.undefined, found.note) == (
        2,
        2,
        "2 of 4 values undefined, left out",
    )
    assert found.p == pytest.approx(stats.ttest_rel([0.5, 0.6], [0.4, 0.3]).pvalue)


def test_differences_without_spread():
    same = paired_difference([0.1, 0.9, 0.4], [0.1, 0.9, 0.4])
    assert (same.mean, same.low, same.high, same.p, same.test) == (0, 0, 0, 1.0, "no difference")
    # By rounding these differ in their last bits.
    shifted = paired_difference([0.3, 0.4, 0.5, 0.9], [0.2, 0.3, 0.4, 0.8])
    assert (shifted.p, shifted.test) == (2 ** (1 - 4), "sign flips")
    assert shifted.half == 0
    assert shifted.mean == pytest.approx(0.1)
    assert shifted.note == "all 4 differences are equal"
    one = paired_difference([0.3], [0.2])
    assert math.isnan(one.p)
    assert math.isnan(one.half)
    assert one.note == "one pair has no interval"
    none = paired_difference([nan], [0.2])
    assert math.isnan(none.p)
    assert "no pair is defined" in none.note


def test_a_small_spread_is_no_rounding():
    found = paired_difference([0.3, 0.4, 0.5], [0.2, 0.3 - 1e-9, 0.4])
    assert found.test == "paired t"
    assert found.half > 0


def test_other_intervals_of_the_difference():
    x, y = RNG.random_sample((2, 30))
    assert paired_difference(x, y, method="bca").interval == mean_interval(x - y, method="bca")


def test_pairs_must_be_pairs():
    with pytest.raises(InputError, match="x has 2 values and y 1"):
        paired_difference([1, 2], [1])


# -- training seeds --------------------------------------------------------------------------------


def test_seeds_that_disagree_raise_p():
    episodes = RNG.normal(0.1, 0.2, size=100)
    agreeing = seeded_difference([episodes + 0.001 * seed for seed in range(5)])
    opposed = seeded_difference([episodes + 0.3 * (seed - 2) for seed in range(5)])
    assert agreeing.p < 0.01 < 0.05 < opposed.p
    assert opposed.half > agreeing.half
    assert opposed.test == "t over seeds and episodes"
    # The interval and p are of one distribution: 0 lies outside of the one where the other is below
    # .05.
    assert agreeing.low > 0
    assert opposed.low < 0 < opposed.high


def test_seeds_without_spread():
    # Four equal rows are an algorithm without training: as much evidence as one of them.
    assert seeded_difference([[0.1] * 3] * 4).p == 2 ** (1 - 3)
    assert seeded_difference([[0.0] * 3] * 4).p == 1
    one = seeded_difference([[0.1, 0.2, 0.4]])
    assert one.p == pytest.approx(stats.ttest_1samp([0.1, 0.2, 0.4], 0).pvalue)
    assert "training variance was not measured" in one.note
    assert math.isnan(seeded_difference([]).p)
    # What rounding alone sets apart is equal: .4 - .3 and .3 - .2.
    row = [0.4 - 0.3, 0.3 - 0.2]
    assert row[0] != row[1]
    for rounded in (seeded_difference([row, row]), seeded_difference([row])):
        assert (rounded.half, rounded.p, rounded.test) == (0, 2 ** (1 - 2), "sign flips")
    # A seed without a value is none.
    assert seeded_difference([[0.1, 0.2, 0.4], [nan] * 3]).p == one.p


# -- Wilcoxon --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 18, 50])
def test_the_exact_test_is_scipys(n):
    values = RNG.normal(0.3, 1, n)
    found, theirs = wilcoxon(values), stats.wilcoxon(values, method="exact")
    assert (found.W, found.n, found.zeros, found.method) == (theirs.statistic, n, 0, "exact")
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-12)


def test_the_side_is_that_of_the_larger_rank_sum_and_not_of_the_mean():
    against = [20.0, *(-0.5 - place / 100 for place in range(11))]
    assert np.mean(against) > 0
    assert (wilcoxon(against).side, wilcoxon(against).W) == (-1, 12)
    assert wilcoxon(np.negative(against)).side == 1
    assert [wilcoxon(values).side for values in ([1.0, -1.0], [0.0, 0.0], [nan])] == [0, 0, 0]


@pytest.mark.parametrize(
    "values", [RNG.normal(0.3, 1, 80), RNG.randint(-4, 9, 80).astype(float)], ids=["free", "tied"]
)
def test_the_normal_approximation_is_scipys(values):
    found, theirs = (
        wilcoxon(values),
        stats.wilcoxon(values, method=NORMAL, zero_method="wilcox"),
    )
    assert (found.W, found.method) == (theirs.statistic, "normal")
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-12)
    assert found.zeros == np.count_nonzero(values == 0)


@max_examples(18)
@given(values=st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_the_exact_test_counts_all_signs_ties_or_not(values):
    kept = np.array([float(value) for value in values if value])
    found = wilcoxon(values)
    if not len(kept):
        assert (found.p, found.n) == (1.0, 0)
        return
    ranks = stats.rankdata(np.abs(kept))
    sums = [
        float(ranks[np.array(signs)].sum()) for signs in product([True, False], repeat=len(kept))
    ]
    smaller = min(ranks[kept > 0].sum(), ranks[kept < 0].sum())
    assert smaller == found.W
    assert found.p == min(1.0, 2 * np.mean([total <= smaller for total in sums]))


def test_what_p_would_be_without_ties():
    tied = wilcoxon([-1.0, 1.0, 1.0, 2.0, 3.0])
    free = wilcoxon([-2.0, 1.0, 3.0, 4.0, 5.0])
    assert tied.W == free.W == 2
    assert (
        tied.untied
        == free.untied
        == free.p
        == stats.wilcoxon([-2, 1, 3, 4, 5], method="exact").pvalue
    )
    # Of 32 signs the sum of ranks 2, 2, 2, 4, 5 is at most 2 in four, that of 1, 2, 3, 4, 5 in
    # three.
    assert (tied.p, free.p) == (0.25, 0.1875)
    many = RNG.randint(1, 5, 60) * np.sign(RNG.normal(0.4, 1, 60))
    assert wilcoxon(many).untied != wilcoxon(many).p


def test_nothing_to_test():
    assert wilcoxon([0.0, 0.0]).p == 1
    assert math.isnan(wilcoxon([]).p)
    assert math.isnan(wilcoxon([nan]).p)
    assert wilcoxon([nan, 1, 2]).n == 2


def test_five_targets_cannot_reach_the_level():
    assert wilcoxon([1, 2, 3, 4, 5]).p == 0.0625
    assert wilcoxon([1, 2, 3, 4, 5, 6]).p == 0.03125


@max_examples(24)
@given(values=st.lists(st.integers(-3, 3), max_size=10))
def test_ranks_are_scipys(values):
    array = np.array(values, dtype=float)
    assert average_ranks(array).tolist() == (stats.rankdata(array).tolist() if values else [])


def test_ranks_tie_what_rounding_sets_apart():
    assert average_ranks(np.array([0.1 + 0.2, 0.3, 0.2])).tolist() == [2.5, 2.5, 1.0]
    x, y = np.array([0.3, 0.7]), np.array([0.1 + 0.2, 0.4])
    assert without_rounding(x - y, x, y)[0] == 0


# -- Holm ------------------------------------------------------------------------------------------


def test_holm_by_hand():
    # .01 x 4, .03 x 3, .03 x 2 raised to what stands before it, .9 x 1.
    assert holm([0.03, 0.9, 0.01, 0.03]).tolist() == pytest.approx([0.09, 0.9, 0.04, 0.09])
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    assert holm([0.04]).tolist() == [0.04]


def test_holm_counts_what_could_not_be_tested():
    adjusted = holm([0.01, nan, 0.02]).tolist()
    assert adjusted[::2] == pytest.approx([0.03, 0.04])
    assert math.isnan(adjusted[1])


@max_examples(24)
@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferroni(p):
    adjusted = holm(p)
    assert (adjusted >= np.array(p)).all()
    assert (adjusted <= np.minimum(1, np.array(p) * len(p))).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


def test_holm_refuses_what_is_no_p():
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        holm([0.5, 1.5])
