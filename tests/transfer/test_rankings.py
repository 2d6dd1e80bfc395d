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
from torchcross.transfer.source_choice import static_scores_for
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
    reason = "1 source with both a score and a value; two are needed"
    assert regret([1, math.nan], [1, 2]).reason == reason
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
    blank = StudyCell("a", "t", 0, 0, math.nan)
    for pair in ([blank, cells[0]], [blank, blank]):
        with pytest.raises(InputError, match="fold 0, seed 0 stands twice"):
            StudyResults.of_cells(pair)
    with pytest.raises(InputError, match="have no self-pair"):
        results.transferability("self")


SOURCES = ["scratch", "t", "reptile:t", "u"]


def test_a_source_that_reptile_learned_from_the_target_is_not_ranked() -> None:
    numbers = [[0.1, 0.2], [0.9, 0.4], [0.8, 0.3], [0.5, 0.7]]
    table = SourceTargetTable(SOURCES, ["t", "u"], numbers)
    left = table.without_self_pairs()
    assert left.missing == (("t", "t"), ("reptile:t", "t"), ("u", "u"))
    judgement = judge_scores({"knn": table}, table)
    assert judgement.row("knn").pairs == 5
    assert {item.n for item in correlations(table, table)} == {5}
    # The other target knows nothing of the source that was learned from it.
    assert set(static_scores_for("t", table)) == {"scratch"}
    assert set(static_scores_for("v", table)) == set(SOURCES)


def test_the_baseline_of_a_target_is_what_was_learned_from_it() -> None:
    cells = [
        StudyCell(source, target, 0, 0, value)
        for target, values in {"t": (0.1, 0.5, 0.8, 0.4), "u": (0.3, 0.4, 0.6, 0.2)}.items()
        for source, value in zip(("scratch", "t", "reptile:t", "reptile:u"), values, strict=True)
    ]
    results = StudyResults.of_cells(cells)
    gains = results.transferability("self", measure="difference")
    assert gains["scratch", "t"] == pytest.approx(0.1 - 0.5)
    assert gains["scratch", "u"] == pytest.approx(0.3 - 0.2)


def test_scores_have_no_names_of_rules() -> None:
    table = SourceTargetTable(["a", "b"], ["t"], [[1], [2]])
    with pytest.raises(InputError, match="names of rules"):
        judge_scores({"static": table}, table)


def test_a_best_value_of_nothing_has_no_share() -> None:
    assert relative_best([1, 2], [0, 0]).reason == "the best value is 0; shares need one above 0"
    assert "-0.1" in relative_best([1, 2], [-0.1, -0.2]).reason
    assert regret([1, 2], [-0.1, -0.2]).value == pytest.approx(0.1)


# -- judgements ------------------------------------------------------------------------------------


def waves(sources: int, targets: int, speed: float = 1.0) -> SourceTargetTable:
    """Sources are of one order on all targets, with waves of each pair."""
    source, target = np.arange(sources)[:, None], np.arange(targets)[None]
    values = 0.5 + 0.1 * source + 0.12 * np.sin(speed * (2.3 * source + 1.7 * source * target))
    names = [f"source {number}" for number in range(sources)]
    return SourceTargetTable(names, [f"target {number}" for number in range(targets)], values)


def test_a_score_meets_the_static_rule_on_the_pairs_that_it_ranks() -> None:
    values = waves(8, 7)
    known = ["source 1", "source 2", "source 5", "source 6"]
    few = values.restrict(known)
    table = values.align(few)
    judgement = judge_scores({"few": table, "all": values}, values, permutations=0)
    beside = judgement.row("few").against_static
    assert (judgement.row("few").pairs, beside.pairs, judgement.row("all").pairs) == (28, 28, 56)
    static = static_scores(values).restrict(known)
    taus = [weighted_tau(static.values[:, k], few.values[:, k]).value for k in range(7)]
    assert beside.static_tau == pytest.approx(np.mean(taus))
    assert beside.score_tau == pytest.approx(1)
    assert beside.static_tau != pytest.approx(judgement.row("static").means["weighted tau"].mean)
    assert [text for text in judgement.warnings if "28 of 56 pairs" in text and "few" in text]
    assert not [text for text in judgement.warnings if text.startswith("all ")]


def test_below_six_targets_no_score_beats_the_rule() -> None:
    for targets, claim in ((5, False), (6, True)):
        values = waves(6, targets)
        answer = judge_scores({"oracle": values}, values, permutations=0).answer
        assert answer.startswith("oracle beats the static rule") == claim
        assert ("which needs 6 targets; the mean of oracle is higher" in answer) != claim


def test_several_scores_are_named_beside_their_numbers() -> None:
    values = waves(6, 7)
    answer = judge_scores({"one": values, "two": values}, values, permutations=0).answer
    assert answer.startswith("one and two beat the static rule")
    assert ", weighted tau one 1.000 against" in answer
    assert ", two 1.000 against" in answer


def test_one_target_has_no_static_rule() -> None:
    values = waves(4, 1)
    judgement = judge_scores({"oracle": values}, values, permutations=0)
    assert judgement.answer == (
        "No score can be compared with the static rule (the mean on the other targets): there is 1"
        " target, and it needs two."
    )
    assert judgement.row("oracle").against_static.targets == 0


def test_equal_values_have_no_static_rule() -> None:
    values = waves(3, 7)
    same = SourceTargetTable(values.sources, values.targets, np.full((3, 7), 0.5))
    answer = judge_scores({"oracle": values}, same, permutations=0).answer
    assert answer.endswith("no target has two sources with different values.")
    blank = SourceTargetTable(values.sources, values.targets, np.full((3, 7), np.nan))
    assert judge_scores({"oracle": values}, blank, permutations=0).answer == answer
    constant = judge_scores({"constant": same}, values, permutations=0).answer
    assert constant.endswith("scores that the rule ranks too.")


def test_without_a_target_the_static_rule_does_not_know_it() -> None:
    values = waves(6, 3, speed=2)
    low, high = judge_scores({}, values, permutations=0).row("static").without_one_target
    means = []
    for left_out in range(3):
        fewer = values.restrict(targets=[f"target {k}" for k in range(3) if k != left_out])
        static = static_scores(fewer).values
        means.append(
            np.mean([weighted_tau(static[:, k], fewer.values[:, k]).value for k in (0, 1)])
        )
    assert (low, high) == pytest.approx((min(means), max(means)))


def test_the_largest_source_is_a_row() -> None:
    values = waves(5, 3)
    sizes = {"source 0": 10, "source 1": 500, "source 2": 30, "source 3": 0, "source 4": 70}
    judgement = judge_scores({}, values, sizes=sizes, permutations=0)
    regrets = judgement.row("largest").means["regret@1"].mean
    assert regrets == pytest.approx((values.values.max(axis=0) - values.values[1]).mean())
    assert not [text for text in judgement.warnings if "largest" in text]
    assert "give sizes=" in judge_scores({}, values, permutations=0).warnings[-1]
    with pytest.raises(InputError, match=r"no number of images of \['source 4'\]"):
        judge_scores({}, values, sizes={k: v for k, v in sizes.items() if k != "source 4"})
    with pytest.raises(InputError, match="did you mean 'source"):
        judge_scores({}, values, largest="source 9")


def test_a_score_among_three_is_corrected_for_all_of_them() -> None:
    generator = np.random.default_rng(54)
    names, targets = list("abcd"), [f"t{number}" for number in range(8)]

    def table(values: np.ndarray) -> SourceTargetTable:
        return SourceTargetTable(names, targets, values)

    reached = table(generator.normal(size=(4, 8)))
    scores = {"good": table(reached.values + generator.normal(size=(4, 8)))}
    scores |= {name: table(generator.normal(size=(4, 8))) for name in ("poor", "idle")}
    alone = {
        name: judge_scores({name: score}, reached, permutations=0) for name, score in scores.items()
    }
    raw = {name: judgement.row(name).against_static.p for name, judgement in alone.items()}
    assert raw["good"] == pytest.approx(0.030853814)
    assert alone["good"].answer.startswith("good beats the static rule")
    together = judge_scores(scores, reached, permutations=0)
    # By Holm: times 3 for the smallest, times 2 for the next one, and none less than one before.
    second, third = sorted((raw["poor"], raw["idle"]))
    expected = [3 * raw["good"], min(2 * second, 1), min(max(2 * second, third), 1)]
    corrected = [together.row(name).against_static.p for name in scores]
    assert sorted(corrected) == pytest.approx(expected)
    assert corrected[0] == pytest.approx(3 * 0.030853814)
    assert together.answer.startswith("No score beats the static rule (the mean on the other")
    assert "beyond doubt" in together.answer
