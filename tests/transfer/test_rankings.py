"""Measures of rankings, their ties, and the null of shuffles."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchcross.errors import InputError
from torchcross.transfer.rankings import (
    correlations,
    judge_scores,
    kendall_tau,
    recall,
    regret,
    relative_best,
    static_scores,
    weighted_tau,
)
from torchcross.transfer.rankings.permutation import permutation_p, weighted_taus
from torchcross.transfer.results import StudyCell, StudyResults
from torchcross.transfer.source_target import SourceTargetTable

VALUES = [0.9, 0.8, 0.85, 0.7, 0.95]
SCORES = [3, 1, 2.5, 1.2, 2.9]
few = st.lists(st.integers(0, 3), min_size=2, max_size=6)


def test_golden_taus() -> None:
    assert weighted_tau(VALUES, SCORES).value == pytest.approx(0.5729927007)
    assert kendall_tau(SCORES, VALUES).value == pytest.approx(0.6)


@given(st.data())
def test_choices_among_ties_are_means_over_their_orders(data: st.DataObject) -> None:
    scores = data.draw(few)
    values = data.draw(st.lists(st.integers(1, 9), min_size=len(scores), max_size=len(scores)))
    k = data.draw(st.integers(1, len(scores)))
    best, outcomes = max(values), []
    for order in permutations(range(len(scores))):
        ranked = sorted(order, key=lambda index: -scores[index])
        outcomes.append(max(values[index] for index in ranked[:k]))
    chosen = np.array(outcomes, dtype=float)
    assert regret(scores, values, k).value == pytest.approx(np.mean(best - chosen))
    assert relative_best(scores, values, k).value == pytest.approx(np.mean(chosen / best))
    assert recall(scores, values, k).value == pytest.approx(np.mean(chosen == best))


@given(st.data())
def test_many_taus_at_once_are_those_of_scipy(data: st.DataObject) -> None:
    scores = data.draw(few)
    values = data.draw(st.lists(st.integers(0, 4), min_size=len(scores), max_size=len(scores)))
    if min(len(set(scores)), len(set(values))) < 2:
        return
    rows = np.array([scores, scores[::-1]], dtype=float)
    expected = [weighted_tau(row, values).value for row in rows]
    assert weighted_taus(rows, np.array(values, dtype=float)) == pytest.approx(expected)


def test_the_p_of_a_ranking_is_small_for_a_good_one_only() -> None:
    values = [np.arange(8.0)] * 3
    assert permutation_p(values, values, 999, 0) == 1 / 1000
    assert permutation_p([np.arange(8.0)[::-1]] * 3, values, 999, 0) > 0.99


def test_what_has_no_order_has_a_reason() -> None:
    assert weighted_tau([1, 1], [1, 2]).reason == "the score is the same for all sources"
    assert weighted_tau([1, 2], [1, 1]).reason == "the value is the same for all sources"
    assert "two are needed" in regret([1, math.nan], [1, 2]).reason
    with pytest.raises(InputError, match="for every source"):
        regret([1], [1, 2])


def test_static_scores_do_not_look_at_their_target() -> None:
    values = np.array([[0.9, 0.5, 0.7], [0.8, 0.6, 0.9], [0.7, 0.9, 0.8]])
    table = SourceTargetTable(["a", "b", "c"], ["t", "u", "v"], values)
    changed = values.copy()
    changed[:, 0] = [0.1, 0.9, 0.3]
    other = SourceTargetTable(["a", "b", "c"], ["t", "u", "v"], changed)
    assert np.array_equal(static_scores(table).values[:, 0], static_scores(other).values[:, 0])
    standard = (values - values.mean(0)) / values.std(0, ddof=1)
    assert static_scores(table)["a", "t"] == pytest.approx(standard[0, 1:].mean())


def test_a_permutation_stays_within_targets() -> None:
    # Between targets the numbers go together perfectly, within them not at all.
    x = SourceTargetTable(["a", "b", "c"], ["t", "u"], [[1, 11], [2, 12], [3, 13]])
    y = SourceTargetTable(["a", "b", "c"], ["t", "u"], [[1, 11], [3, 13], [2, 12]])
    pooled, *_, within = correlations(x, y)
    assert pooled.value > 0.98
    assert within.value == pytest.approx(0.5)
    assert within.permutation_p > 0.2


def test_constant_numbers_have_no_correlation() -> None:
    x = SourceTargetTable(["a", "b", "c"], ["t"], [[1], [1], [1]])
    y = SourceTargetTable(["a", "b", "c"], ["t"], [[1], [2], [3]])
    assert {item.reason for item in correlations(x, y)} == {
        "one of the two numbers is constant",
        "one number is constant within every target",
    }
    assert "no pearson correlation" in str(correlations(x, y)[0])


def test_a_missing_cell_stays_missing() -> None:
    cells = [StudyCell("a", "t", fold, 0, 0.5) for fold in range(2)]
    cells.append(StudyCell("scratch", "t", 0, 0, 0.5))
    results = StudyResults.of_cells(cells)
    assert math.isnan(results.matrix()["scratch", "t"])
    assert results.matrix().missing == (("scratch", "t"),)
    assert math.isnan(results.transferability()["a", "t"])
    with pytest.raises(InputError, match="stands twice"):
        StudyResults.of_cells([cells[0], cells[0]])
    with pytest.raises(InputError, match="have no self-pair"):
        results.transferability("self")


def test_scores_have_no_names_of_rules() -> None:
    table = SourceTargetTable(["a", "b"], ["t"], [[1], [2]])
    with pytest.raises(InputError, match="names of rules"):
        judge_scores({"static": table}, table)
