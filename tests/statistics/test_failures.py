"""Who fails where episodes are hard neither leads nor lifts the means of its rivals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records.sample_records import table
from torchcross.metrics import quadratic_weighted_kappa
from torchcross.records import Records
from torchcross.statistics import across_targets, mean_interval, means_of, within_target
from torchcross.statistics.failures import count_failures, failure_value

nan = math.nan
DIVERGED = "diverged: the loss of step 3 is not finite"


def compare(scores, metric="auroc", reason=DIVERGED, **more):
    return within_target(failing(scores, metric, reason), "ink/shape", metric, 5, **more)


def failing(scores, metric="auroc", reason=DIVERGED, **fields):
    rows = table(scores, metric=metric, **fields)
    columns = rows.columns
    reasons = [reason if math.isnan(value) else "" for value in columns["value"]]
    return Records({**columns, "reason": reasons})


def one_that_fails_where_it_is_hard(draw, episodes=100, share=0.4):
    """Two equally good algorithms, one of which cannot score the hardest episodes."""
    ease = draw.normal(0.75, 0.1, episodes)
    rival, fails = (ease + draw.normal(0, 0.02, episodes) for _ in range(2))
    fails[np.argsort(ease)[: round(share * episodes)]] = nan
    return {"fails": fails.clip(0, 1), "rival": rival.clip(0, 1)}


def test_who_fails_on_the_hardest_forty_percent_is_never_bold_and_lifts_nobody():
    draw = np.random.default_rng(0)
    for _ in range(30):
        scores = one_that_fails_where_it_is_hard(draw)
        found = compare(scores)
        rival, fails = found.row("rival"), found.row("fails")
        assert found.best in ("rival", "")
        assert "fails" not in found.ties
        assert rival.interval.mean == pytest.approx(scores["rival"].mean())
        # Today's view stands beside it, and there the rival is lifted.
        assert rival.common is not None
        easy = ~np.isnan(scores["fails"])
        assert rival.common.mean == pytest.approx(scores["rival"][easy].mean())
        assert rival.common.mean > rival.interval.mean + 0.03
        assert fails.failed == 40
        assert fails.interval.n == 100
        assert fails.interval.mean == pytest.approx(np.where(easy, scores["fails"], 0.5).mean())


def test_who_leads_in_one_view_only_is_not_marked():
    ease = np.linspace(0.5, 0.9, 20)
    scores = {"fails": np.where(ease < 0.65, nan, ease + 0.02), "steady": ease}
    found = compare(scores)
    assert (found.best, found.ties) == ("", ())
    assert (
        "steady has the best mean with failures counted, and fails the best one over the episodes"
        " that every algorithm scored: no best is marked" in found.notes
    )
    # One that is better even with its failures leads both ways.
    found = compare({**scores, "fails": np.where(ease < 0.55, nan, ease + 0.2)})
    assert (found.best, found.ties) == ("fails", ())


def test_errors_lead_where_they_are_small():
    steady = np.linspace(0.5, 1.5, 20)
    fails = np.where(steady > 1.2, nan, steady - 0.01)
    found = compare({"fails": fails, "steady": steady}, "mae")
    assert found.row("fails").interval.mean > found.row("steady").interval.mean
    assert found.best == ""
    assert compare({"fails": fails + 0.1, "steady": steady}, "mae").best == "steady"


def test_both_views_are_one_family_and_either_separates():
    draw = np.random.default_rng(1)
    base = draw.normal(0.8, 0.02, 30)
    noise = draw.normal(0, 0.005, 30)
    fails = base + noise - noise[6:].mean() - 1e-5
    fails[:6] = nan
    found = compare({"fails": fails, "rival": base})
    (pair,) = found.pairs
    assert pair.common is not None
    assert pair.common.p > 0.05
    assert pair.difference.p < 0.02
    assert (found.best, found.ties) == ("rival", ())
    assert pair.p == pytest.approx(2 * pair.difference.p)
    twice = "each tested with failures counted and over the common episodes"
    assert found.family == f"the one pair of algorithms ({twice})"


def test_an_episode_that_nobody_can_score_is_no_failure():
    scores = {"a": [0.9, nan, 0.7], "b": [0.8, nan, 0.6]}
    found = compare(scores, reason="only one class in the query: 'x'")
    assert [row.failed for row in found.rows] == [0, 0]
    assert [row.interval.undefined for row in found.rows] == [1, 1]
    assert all(row.common is None for row in found.rows)
    assert found.failures_count_as == ""
    # All diverged there: their reasons say so.
    diverged = compare(scores)
    assert [row.failed for row in diverged.rows] == [1, 1]
    assert diverged.row("a").interval.mean == pytest.approx((0.9 + 0.5 + 0.7) / 3)
    alone = compare(
        {"a": [0.9, nan, 0.7]}, reason="the predictions of 2 of 9 samples are not finite"
    )
    assert alone.row("a").interval.mean == pytest.approx((0.9 + 0.5 + 0.7) / 3)


def test_another_training_seed_shows_that_an_episode_has_a_score():
    found = compare(
        {"a": {0: [0.9, nan, 0.7], 1: [0.9, 0.8, 0.7]}}, reason="no reason that we know"
    )
    assert found.row("a").failed == 1
    assert found.row("a").interval.mean == pytest.approx((0.9 + 0.5 + 0.7 + 0.9 + 0.8 + 0.7) / 6)


def test_a_kappa_that_labels_of_one_rank_make_undefined_is_no_failure():
    import torch

    ones = torch.ones(4, dtype=torch.int64)
    reason = quadratic_weighted_kappa(ones, ones, 3).reason
    other = quadratic_weighted_kappa(ones - 1, ones, 3)
    found = compare({"right": [nan, 0.8], "wrong": [other.value, 0.1]}, "qwk", reason)
    assert found.row("right").failed == 0
    assert found.row("right").interval.mean == 0.8


@pytest.mark.parametrize(
    ("metric", "value", "name"),
    [
        ("auroc", 0.5, "chance level 0.5"),
        ("weighted_auroc", 0.5, "chance level 0.5"),
        ("qwk", 0.0, "chance level 0"),
        ("accuracy", 0.0, "the worst value 0"),
        ("mae", 1.5, "the worst value scored, 1.5"),
        ("of my own", 0.25, "the worst value scored, 0.25"),
    ],
)
def test_what_a_failure_counts_as(metric, value, name):
    assert failure_value(metric, [0.25, 1.5, 0.75]) == (value, name)
    found = compare({"a": [0.25, nan, 1.0], "b": [0.75, 0.5, 1.0]}, metric)
    assert found.failures_count_as.startswith(name.split(",")[0])
    assert any(f"a: 1 failed, each counts as {name.split(',')[0]}" in note for note in found.notes)


def test_the_chance_level_of_a_target_may_be_given():
    found = compare({"a": [0.9, nan], "b": [0.8, 0.7]}, "accuracy", chance=0.25)
    assert found.failures_count_as == "chance level 0.25"
    assert found.row("a").interval.mean == (0.9 + 0.25) / 2
    rows = failing({"a": [0.9, nan], "b": [0.8, 0.7]}, "accuracy")
    means = means_of(rows, "accuracy", 5, chance={"ink/shape": 0.25})
    assert means.values[0].tolist() == [one.interval.mean for one in found.rows]


def test_an_algorithm_or_a_seed_without_any_score_has_no_mean_of_failures():
    found = compare({"never": [nan, nan], "b": {0: [0.5, 0.6], 1: [nan, nan]}})
    assert found.row("never").failed == 0
    assert not found.row("never").compared
    assert found.row("b").failed == 0
    assert found.row("b").interval.n == 2


def test_ranks_across_targets_are_of_the_same_means():
    draw = np.random.default_rng(2)
    records = Records.of([])
    for place in range(6):
        records += failing(one_that_fails_where_it_is_hard(draw), target=f"target {place}")
    means = means_of(records, "auroc", 5)
    for target, row in zip(means.targets, means.values, strict=True):
        found = within_target(records, target, "auroc", 5)
        assert row.tolist() == [one.interval.mean for one in found.rows]
    assert across_targets(means).ranks == (2.0, 1.0)
    assert "fails on target 0: 40 of 100 values failed, each counts as chance level 0.5" in (
        means.notes
    )


@given(
    st.lists(
        st.lists(st.one_of(st.just(nan), st.floats(0, 1)), min_size=4, max_size=4),
        min_size=1,
        max_size=3,
    )
)
def test_scores_that_are_defined_stay_and_every_gap_is_a_failure_or_nobodys(rows):
    scores = {str(place): {0: dict(enumerate(row))} for place, row in enumerate(rows)}
    counted = count_failures(scores, {}, "auroc")
    scorable = ~np.isnan(np.array(rows)).all(axis=0)
    for name, row in zip(scores, rows, strict=True):
        after = np.array(list(counted.scores[name][0].values()))
        known = ~np.isnan(row)
        assert (after[known] == np.array(row)[known]).all()
        expected = np.count_nonzero(scorable & ~known) if known.any() else 0
        assert counted.counts[name] == expected
        assert (after[scorable & ~known] == 0.5).all() or not known.any()


def test_without_failures_nothing_changes():
    draw = np.random.default_rng(3)
    scores = {"a": draw.random(20), "b": draw.random(20)}
    found = compare(scores)
    assert found.row("a").interval.mean == mean_interval(scores["a"]).mean
    assert found.row("a").common is None
    assert found.pairs[0].common is None
    assert found.family == "the one pair of algorithms"
