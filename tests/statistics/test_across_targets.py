"""Across targets: the published summary to the digit, SciPy's Friedman, and what may not be
said.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tests.examples import max_examples
from tests.records.published_table import DIFFERENCES, MEAN_RANKS, NAMES, ROWS
from tests.records.sample_records import table
from torchcross.errors import InputError
from torchcross.records import Means, read_means
from torchcross.statistics import across_targets, critical_difference, friedman, means_of
from torchcross.statistics.best_names import names_of_best
from torchcross.statistics.ranks import groups_within, ranks_of

RNG = np.random.RandomState(2)
nan = math.nan


def test_the_published_summary():
    found = across_targets(ROWS, NAMES)
    assert len(found.targets) == 18
    assert found.ranks == pytest.approx(MEAN_RANKS, abs=5e-4)
    assert found.friedman.chi2 == pytest.approx(28.141, abs=5e-4)
    assert round(found.friedman.F, 2) == 60.87
    assert found.untied.chi2 == pytest.approx(27.75, abs=5e-4)
    assert round(found.untied.F, 2) == 57.18
    assert (found.friedman.tied, found.untied.tied) == (True, False)
    assert found.cd == pytest.approx(0.781, abs=5e-4)
    for first, second, mean, half, W in DIFFERENCES:
        pair = found.pair(first, second)
        assert round(pair.difference.mean, 2) == mean
        assert round(pair.difference.half, 2) == half
        assert pair.wilcoxon.W == W
        assert pair.wilcoxon.method == "exact"
    # Nemenyi joins the first two, Wilcoxon separates them: both are there.
    assert found.groups == (("IM-PT", "mm-PT"),)
    assert found.pair("IM-PT", "mm-PT").wilcoxon.p == pytest.approx(4.2e-4, abs=5e-6)
    assert found.pair("IM-PT", "mm-PT").wilcoxon.untied == found.pair("IM-PT", "mm-PT").wilcoxon.p
    assert found.pair("IM-PT", "mm-PT").p < 0.05
    assert found.pair("IM-PT", "mm-MAML").wilcoxon.p == 2 ** (1 - 18)
    assert found.pair("mm-PT", "mm-MAML").wilcoxon.n == 17
    assert found.warnings == ()
    assert found.diagram


@pytest.mark.parametrize("k", [3, 4, 6])
def test_friedman_is_scipys_with_ties(k):
    values = RNG.randint(0, 4, (12, k)).astype(float)
    found = friedman(ranks_of(values, lower_is_better=False))
    theirs = stats.friedmanchisquare(*values.T)
    assert found.chi2 == pytest.approx(theirs.statistic, rel=1e-12)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-10)
    F = 11 * found.chi2 / (12 * (k - 1) - found.chi2)
    assert math.isclose(found.F, F, rel_tol=1e-12)
    assert found.F_p == pytest.approx(stats.f.sf(found.F, k - 1, (k - 1) * 11), rel=1e-10)


@max_examples(18)
@given(rows=st.lists(st.lists(st.integers(0, 5), min_size=3, max_size=3), min_size=2, max_size=8))
def test_no_order_of_targets_or_algorithms_matters(rows):
    values = np.array(rows, dtype=float)
    one = across_targets(values, ["a", "b", "c"])
    other = across_targets(values[::-1, ::-1], ["c", "b", "a"])
    assert other.ranks == pytest.approx(one.ranks[::-1])
    assert other.friedman.chi2 == pytest.approx(one.friedman.chi2, abs=1e-9)
    assert one.untied.chi2 <= one.friedman.chi2 + 1e-9
    assert other.pair("b", "a").p == pytest.approx(one.pair("a", "b").p)
    assert sum(one.ranks) == pytest.approx(6)


def test_ranks_have_one_for_the_best():
    values = np.array([[0.9, 0.5, 0.7], [0.1 + 0.2, 0.3, 0.1]])
    assert ranks_of(values, lower_is_better=False).tolist() == [[1, 3, 2], [1.5, 1.5, 3]]
    assert ranks_of(values, lower_is_better=True).tolist() == [[3, 1, 2], [2.5, 2.5, 1]]


def test_errors_rank_the_other_way():
    records = table({"good": [0.1, 0.2], "bad": [0.8, 0.9]}, metric="mae")
    assert across_targets(means_of(records, "mae", 5)).ranks == (1, 2)
    assert across_targets([[0.1, 0.8]], ["good", "bad"]).ranks == (2, 1)
    assert across_targets([[0.1, 0.8]], ["good", "bad"], lower_is_better=True).ranks == (1, 2)


def test_errors_in_different_grades_are_ranked_and_not_averaged():
    values = [[1.0 + row, 2.0, 3.0 + row] for row in range(8)]
    means = Means(values, ["a", "b", "c"], [f"t{row}" for row in range(8)], metric="mae")
    scales = dict.fromkeys(means.targets, "0, 1, 2")
    same = across_targets(means, scales=scales)
    assert (same.not_averaged, same.warnings) == ("", ())
    assert same.means == pytest.approx(np.mean(values, axis=0))
    unknown = across_targets(means)
    scales["t3"] = "0, 1, 4, 9"
    mixed = across_targets(means, scales=scales)
    assert "t3: 0, 1, 4, 9" in mixed.not_averaged
    assert "the grades of t0, t1" in unknown.not_averaged
    for across in (unknown, mixed):
        assert across.warnings == (across.not_averaged,)
        assert across.ranks == same.ranks
        assert across.friedman == same.friedman
        assert all(map(math.isnan, across.means))
        for pair in across.pairs:
            assert math.isnan(pair.p)
            assert math.isnan(pair.difference.mean)
    # Fractions of one need no scale, and one target needs no other.
    accuracy = Means(values, ["a", "b", "c"], means.targets, metric="accuracy")
    assert across_targets(accuracy).not_averaged == ""
    assert across_targets(Means(values[:1], ["a", "b", "c"], metric="mae")).means == (1, 2, 3)


def test_ranks_differ_where_friedman_says_so():
    assert across_targets(ROWS, NAMES).ranks_differ
    turns = [[1.0, 2.0], [2.0, 1.0]] * 4
    across = across_targets(turns, ["a", "b"])
    assert across.diagram
    assert not across.ranks_differ
    assert "ranks are not separated" in str(across)
    assert "CD 0.781" in str(across_targets(ROWS, NAMES))
    assert not across_targets(ROWS[:1], NAMES).ranks_differ
    # One that is better on each of seven targets: 2^-6, which is above .01.
    always = [[1.0, 2.0]] * 7
    assert across_targets(always, ["a", "b"]).ranks_differ
    assert not across_targets(always, ["a", "b"], level=0.99).ranks_differ


def test_the_family_of_holms_method_is_named():
    across = across_targets(ROWS, NAMES)
    assert across.family == "3 pairs of 3 algorithms, over 18 targets"
    assert across.family in str(across)
    assert across.family in across._repr_html_()
    two = across_targets([row[:2] for row in ROWS], NAMES[:2])
    assert two.family == "one pair of 2 algorithms, over 18 targets"


def test_all_equal_everywhere():
    found = across_targets([[0.5, 0.5, 0.5]] * 8, ["a", "b", "c"])
    assert (found.friedman.chi2, found.friedman.p, found.friedman.F, found.friedman.F_p) == (
        0,
        1,
        0,
        1,
    )
    assert found.groups == (("a", "b", "c"),)
    assert [pair.p for pair in found.pairs] == [1, 1, 1]
    assert [pair.difference.p for pair in found.pairs] == [1, 1, 1]


def test_all_targets_agree():
    found = across_targets([[0.9, 0.7, 0.5]] * 7, ["a", "b", "c"])
    assert found.friedman.chi2 == pytest.approx(14)
    assert math.isinf(found.friedman.F)
    assert found.friedman.F_p == 6.0**-6
    # A pair tied in every row leaves three orders of a row.
    tied = across_targets([[0.9, 0.5, 0.5]] * 7, ["a", "b", "c"])
    assert math.isinf(tied.friedman.F)
    assert tied.friedman.F_p == 3.0**-6
    assert math.isfinite(tied.untied.F)


def test_fewer_than_six_targets_is_said():
    found = across_targets(ROWS[:5], NAMES)
    assert not found.diagram
    assert found.groups == ()
    assert "fewer than six targets (5)" in found.warnings[0]
    assert "0.0625" in found.warnings[0]
    assert across_targets(ROWS[:6], NAMES).diagram
    one = across_targets(ROWS[:1], NAMES)
    assert math.isnan(one.friedman.p)
    assert math.isnan(one.pairs[0].difference.p)
    assert one.ranks == (1, 2, 3)


def test_related_targets_are_not_independent():
    names = [f"organ {view}" for view in "ACS"] + [str(row) for row in range(15)]
    found = across_targets(
        ROWS, NAMES, targets=names, related=[{"organ A", "organ C", "organ S"}, {"0", "elsewhere"}]
    )
    (warning,) = found.warnings
    assert (
        warning
        == "organ A, organ C, organ S share subjects: they are not independent, and p values are"
        " too small"
    )


def test_a_pair_of_views_is_enough_to_warn():
    found = across_targets(ROWS[:7], NAMES, targets=list("abcdefg"), related=[("b", "e"), ["a"]])
    assert found.warnings == (
        "b, e share subjects: they are not independent, and p values are too small",
    )


def test_what_rounding_sets_apart_is_no_difference():
    rows = [[0.3, 0.1 + 0.2], *([0.5 + 0.01 * row, 0.4] for row in range(7))]
    found = across_targets(rows, ["a", "b"])
    assert (found.pairs[0].wilcoxon.n, found.pairs[0].wilcoxon.zeros) == (7, 1)
    assert found.ranks == (8.5 / 8, 15.5 / 8)


def test_a_missing_mean_leaves_its_target_out():
    rows = [list(row) for row in ROWS]
    rows[3][1] = nan
    found = across_targets(rows, NAMES)
    assert len(found.targets) == 17
    assert found.ranks == across_targets([row for row in ROWS if row != ROWS[3]], NAMES).ranks
    assert found.warnings == ("target 4 is left out: it has no mean of mm-PT",)
    nothing = across_targets([[nan, 1.0]], ["a", "b"])
    assert nothing.targets == ()
    assert all(map(math.isnan, (*nothing.ranks, *nothing.means, nothing.cd, nothing.friedman.p)))


def test_bars_join_what_lies_within_the_distance():
    assert groups_within(np.array([1.0, 2.5, 1.4, 4.0]), 1.2) == ((0, 2), (2, 1))
    assert groups_within(np.array([1.0, 1.1, 1.2]), 1.0) == ((0, 1, 2),)
    assert groups_within(np.array([1.0, 2.0]), 1.0) == ()
    assert critical_difference(3, 18) == pytest.approx(2.3437 * math.sqrt(12 / 108), abs=1e-4)


def test_what_no_comparison_can_be_made_of():
    with pytest.raises(InputError, match="two algorithms"):
        across_targets([[0.5]], ["a"])
    with pytest.raises(InputError, match="no names"):
        across_targets([[0.5, 0.6]])
    with pytest.raises(InputError, match="leave these arguments out"):
        across_targets(Means(ROWS, NAMES), NAMES)
    with pytest.raises(InputError, match="no pair"):
        across_targets(ROWS, NAMES).pair("mm-PT", "IM-PT")


def test_a_published_table_is_read(tmp_path):
    path = tmp_path / "published.csv"
    lines = [
        ",".join(["target", *NAMES]),
        *(f"t{i}," + ",".join(map(str, row)) for i, row in enumerate(ROWS)),
    ]
    path.write_text("\n".join([*lines, "derm,70.1,,nan"]) + "\n", encoding="utf-8")
    found = across_targets(read_means(path, metric="auroc"))
    assert found.friedman.chi2 == pytest.approx(28.141, abs=5e-4)
    assert found.warnings == ("derm is left out: it has no mean of mm-PT, mm-MAML",)


def test_a_pair_favours_the_side_of_its_ranks_whichever_side_is_the_better():
    one = [90.0, *(69.5 - place / 100 for place in range(11))]
    table = np.column_stack([one, np.full(12, 70.0)])
    for lower, better in ((False, "b"), (True, "a")):
        across = across_targets(table, ["a", "b"], lower_is_better=lower)
        assert across.better_by_test(across.pairs[0]) == better
        turned = across_targets(table[:, ::-1], ["b", "a"], lower_is_better=lower)
        assert turned.better_by_test(turned.pairs[0]) == better
    few = across_targets(table[1:5], ["a", "b"])
    assert few.better_by_test(few.pairs[0]) == ""


def test_the_best_are_several_where_rounding_alone_sets_them_apart():
    means = {"a": 0.1 + 0.2, "b": 0.3, "c": 0.2, "d": nan}
    assert names_of_best(means, lower_is_better=False) == ("a", "b")
    assert names_of_best(means, lower_is_better=True) == ("c",)
    assert names_of_best({"d": nan}, lower_is_better=True) == ()
    # The means of scores of 1 and -1 have the rounding of these scores.
    assert names_of_best({"a": 1e-17, "b": 0.0}, lower_is_better=False) == ("a",)
    assert names_of_best({"a": 1e-17, "b": 0.0}, lower_is_better=False, size=1.0) == ("a", "b")
