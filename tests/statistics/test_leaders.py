"""Who leads on one target: equal means share the lead, and one algorithm alone leads nobody."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.records.sample_records import table
from torchcross.statistics import within_target

TURNS = np.random.default_rng(5)
DRAWS = [TURNS.integers(0, 31, 20) / 30 for _ in range(40)]


def compare(scores, metric="accuracy", **more):
    return within_target(table(scores, metric=metric), "ink/shape", metric, 5, **more)


@pytest.mark.parametrize("metric", ["accuracy", "mae"])
def test_means_that_rounding_sets_apart_share_the_lead_in_any_order(metric):
    for scores in DRAWS:
        one = {"a": scores, "b": TURNS.permutation(scores)}
        for names in ("ab", "ba"):
            comparison = compare({name: one[name] for name in names}, metric)
            assert comparison.leaders == tuple(names)
            assert comparison.notes == (
                "training variance was not measured: there is one training seed",
            )


def test_scores_around_zero_round_by_their_size_and_not_by_their_mean():
    turned = {"a": [0.3, -0.1, -0.2, 0.1, -0.1], "b": [-0.1, 0.1, -0.2, -0.1, 0.3]}
    assert np.mean(turned["a"]) != np.mean(turned["b"])
    assert compare(turned, "qwk").leaders == ("a", "b")


UP = np.linspace(0.5, 0.9, 20)
NOISE = np.where(np.arange(20) % 2, 0.06, -0.06)


def test_what_is_separated_from_one_of_two_leaders_is_no_tie():
    # `near` follows the first one closely, so that a small difference is separated from it alone.
    scores = {"steady": UP, "noisy": UP + NOISE, "near": UP - 0.01 + NOISE / 60}
    for names in (("steady", "noisy", "near"), ("near", "noisy", "steady")):
        comparison = compare({name: scores[name] for name in names}, margin=0.1)
        assert set(comparison.leaders) == {"steady", "noisy"}
        assert comparison.ties == comparison.also_best
        pairs = {frozenset(pair.names): pair for pair in comparison.pairs}
        assert pairs[frozenset(("steady", "near"))].is_separated(0.95)
        other = pairs[frozenset(("noisy", "near"))]
        assert not other.is_separated(0.95)
        for number in (
            *(other.detectable, other.equivalence_p),
            *(comparison.detectable("near"), comparison.equivalence_p("near")),
        ):
            assert math.isnan(number)
        assert "near" not in comparison.equivalent
        assert str(comparison).count(" best") == 2
        assert "tie" not in str(comparison)


def test_a_tie_of_two_leaders_has_the_larger_numbers_of_both_pairs():
    scores = {"steady": UP, "noisy": UP + NOISE, "near": UP - 0.001 + NOISE / 2}
    comparison = compare(scores, margin=0.1)
    assert comparison.ties == ("noisy", "near")
    own = [pair for pair in comparison.pairs if "near" in pair.names]
    assert len({pair.names for pair in own}) == 2
    assert comparison.detectable("near") == max(pair.detectable for pair in own)
    assert comparison.equivalence_p("near") == max(pair.equivalence_p for pair in own)
    assert comparison.equivalent == ("noisy", "near")


def test_a_number_that_one_leader_lacks_is_unknown():
    # `near` has no training seed in common with the first one, and the second one has both.
    scores = {
        "steady": {0: UP},
        "noisy": {0: UP + NOISE, 1: UP + NOISE},
        "near": {1: UP - 0.001 + NOISE / 2},
    }
    comparison = compare(scores, margin=0.1)
    assert comparison.leaders == ("steady", "noisy")
    assert comparison.ties == ("noisy", "near")
    with_one, with_other = (pair for pair in comparison.pairs if "near" in pair.names)
    assert math.isnan(with_one.equivalence_p)
    assert with_other.equivalence_p < 0.05
    assert math.isnan(comparison.detectable("near"))
    assert math.isnan(comparison.equivalence_p("near"))
    assert "near" not in comparison.equivalent
    # Where nothing varies, no difference is known to be detectable.
    few = {"steady": UP[[0, 1]], "noisy": UP[[0, 1]] + [0.06, -0.06], "near": UP[[0, 1]] - 0.001}
    comparison = compare(few)
    assert comparison.ties == ("noisy", "near")
    assert math.isnan(comparison.detectable("near"))


def test_one_algorithm_alone_is_no_best():
    assert compare({"a": [0.5, 0.6]}).leaders == ()
    alone = compare({"a": [math.nan, math.nan], "b": [0.5, 0.6]})
    assert (alone.best, alone.ties) == ("", ())
    assert "a is not compared: it scored none of 2 values" in alone.notes
    assert not any("no best" in note for note in alone.notes)


def test_equal_leaders_of_one_view_are_narrowed_by_the_other():
    # Counted as chance, the failure of `b` makes both equal; over common episodes `a` is ahead.
    scores = {"a": [0.7, 0.5, 0.7], "b": [0.7, 0.7, math.nan], "c": [0.4, 0.4, 0.4]}
    comparison = compare(scores, "auroc")
    assert comparison.row("a").interval.mean == pytest.approx(1.9 / 3)
    assert comparison.row("b").interval.mean == pytest.approx(1.9 / 3)
    assert comparison.leaders == ("b",)


def test_none_leads_where_the_pair_over_common_episodes_has_another_first():
    # `b` fails once: over what both scored of seed 0 it is ahead, and `a` leads from its seed 1.
    scores = {"a": {0: [0.62] * 4, 1: [0.9] * 4}, "b": {0: [0.65, 0.65, 0.65, math.nan]}}
    comparison = compare(scores, "auroc")
    assert comparison.pairs[0].difference.mean > 0 > comparison.pairs[0].common.mean
    assert comparison.leaders == ()
    assert (
        "a has the best mean, and b the better one on the episodes of both: no best is marked"
        in comparison.notes
    )
