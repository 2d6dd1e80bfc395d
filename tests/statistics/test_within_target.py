"""Within a target: the best, its ties, and what is said beside them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.records.sample_records import table
from torchcross.errors import InputError
from torchcross.statistics import (
    hierarchical_interval,
    holm,
    mean_interval,
    paired_difference,
    seeded_difference,
    within_target,
)

RNG = np.random.RandomState(3)
BASE = RNG.normal(0.7, 0.1, 40)
nan = math.nan
SCORES = {
    "ridge": BASE + RNG.normal(0, 0.02, 40),
    "maml": BASE + 0.1 + RNG.normal(0, 0.02, 40),
    "anil": BASE + 0.1 + RNG.normal(0, 0.02, 40),
}
ONE_SEED = "training variance was not measured: there is one training seed"


def compare(scores, metric="auroc", **more):
    return within_target(table(scores, metric=metric), "ink/shape", metric, 5, **more)


def test_the_best_its_ties_and_their_tests():
    found = compare(SCORES)
    best, other = (
        ("maml", "anil") if np.mean(SCORES["maml"]) > np.mean(SCORES["anil"]) else ("anil", "maml")
    )
    assert found.best == best
    assert found.ties == (other,)
    assert [row.algorithm for row in found.rows] == list(SCORES)
    interval = mean_interval(SCORES["maml"])
    assert (found.row("maml").interval.low, found.row("maml").interval.high) == (
        interval.low,
        interval.high,
    )
    assert found.row("maml").seeds == (0,)
    pair = found.pairs[0]
    assert (pair.first, pair.second) == ("ridge", "maml")
    assert pair.difference == paired_difference(SCORES["ridge"], SCORES["maml"])
    assert [pair.p for pair in found.pairs] == holm(
        [pair.difference.p for pair in found.pairs]
    ).tolist()
    assert found.notes == (ONE_SEED,)
    assert f"{best}: 0." in str(found)


def test_holm_decides_what_ties():
    # p of .03 alone, .09 among three.
    noise = RNG.normal(size=30)
    noise = (noise - noise.mean()) / noise.std()
    level = 2.28 / math.sqrt(29)
    zero = np.zeros(30)
    alone = compare({"a": noise * 0.01, "b": zero - level * 0.01})
    assert alone.pairs[0].p < 0.05
    assert alone.ties == ()
    among = compare({"a": noise * 0.01, "b": zero - level * 0.01, "c": zero - level * 0.01})
    assert among.best == "a"
    assert among.ties == ("b", "c")


@pytest.mark.parametrize(
    "scores", [SCORES, {name: {0: row, 1: row**2} for name, row in SCORES.items()}]
)
def test_the_pairing_is_by_seed_and_episode(scores):
    records = table(scores)
    shuffled = records[np.random.RandomState(0).permutation(len(records))]
    found = within_target(shuffled, "ink/shape", "auroc", 5)
    expected = within_target(records, "ink/shape", "auroc", 5)
    assert {frozenset((pair.first, pair.second)): pair.p for pair in found.pairs} == {
        frozenset((pair.first, pair.second)): pair.p for pair in expected.pairs
    }
    assert {row.algorithm: row.interval for row in found.rows} == {
        row.algorithm: row.interval for row in expected.rows
    }
    assert (found.best, set(found.ties)) == (expected.best, set(expected.ties))


def test_errors_have_their_best_below():
    assert compare({"a": [0.9, 0.8, 0.85], "b": [0.1, 0.2, 0.16]}, metric="mae").best == "b"
    assert compare({"a": [0.9, 0.8, 0.85], "b": [0.1, 0.2, 0.16]}).best == "a"


def test_undefined_values_are_told_with_their_reason():
    missing = np.isin(np.arange(40), [1, 2])
    found = compare({name: np.where(missing, nan, row) for name, row in SCORES.items()})
    assert found.row("maml").interval.mean == pytest.approx(SCORES["maml"][~missing].mean())
    assert (found.row("maml").interval.undefined, found.row("maml").failed) == (2, 0)
    assert "2 of 40 values undefined, left out" in found.notes
    assert found.pairs[0].difference.n == 38
    assert found.failures_count_as == ""


def test_an_algorithm_without_a_value_is_neither_best_nor_tied():
    found = compare({"a": [nan, nan], "b": [0.5, 0.6], "c": [0.2, 0.1]})
    assert (found.best, found.ties) == ("b", ("c",))
    assert "a is not compared: it scored none of 2 values" in found.notes
    assert [row.compared for row in found.rows] == [False, True, True]
    nothing = compare({"a": [nan], "b": [nan]})
    assert (nothing.best, nothing.ties) == ("", ())
    assert "no algorithm scored an episode" in nothing.notes


def test_one_episode_says_nothing_about_the_difference():
    found = compare({"a": [0.9], "b": [0.1]})
    assert (found.best, found.ties) == ("a", ("b",))
    assert "a and b cannot be tested: one pair has no interval" in found.notes


def test_equal_algorithms_tie():
    found = compare({"a": [0.9, 0.8], "b": [0.9, 0.8]})
    assert (found.best, found.also_best, found.ties) == ("a", ("b",), ("b",))
    assert found.pairs[0].p == 1


def test_only_shared_episodes_are_paired():
    found = compare({"a": SCORES["ridge"], "b": SCORES["maml"][:30]})
    assert found.pairs[0].difference == paired_difference(SCORES["ridge"][:30], SCORES["maml"][:30])
    assert found.row("a").interval.mean == pytest.approx(np.mean(SCORES["ridge"][:30]))
    assert "a: over 30 of 40 values, of the episodes that every algorithm scored" in found.notes


def test_several_training_seeds():
    rows = {
        name: {seed: SCORES[name] + 0.02 * seed for seed in range(5)} for name in ("ridge", "maml")
    }
    found = compare(rows)
    assert found.row("ridge").interval == hierarchical_interval(list(rows["ridge"].values()))
    assert found.row("ridge").seeds == (0, 1, 2, 3, 4)
    differences = [rows["ridge"][seed] - rows["maml"][seed] for seed in range(5)]
    expected = seeded_difference(differences)
    assert found.pairs[0].difference.p == expected.p
    assert found.pairs[0].difference.mean == pytest.approx(expected.mean)
    assert found.best == "maml"
    assert found.ties == ()
    assert found.notes == ()


def test_seeds_and_episodes_that_differ():
    rows = {
        "a": {0: SCORES["ridge"], 1: SCORES["ridge"][:20]},
        "b": {0: SCORES["maml"], 1: SCORES["maml"][:20], 2: SCORES["maml"]},
    }
    found = compare(rows)
    gappy = np.where(np.arange(40) < 20, SCORES["ridge"], nan)
    seeded = hierarchical_interval([SCORES["ridge"], gappy])
    assert (found.row("a").interval.low, found.row("a").interval.high) == (seeded.low, seeded.high)
    assert found.pairs[0].difference.n == 60
    assert any("different training seeds" in note for note in found.notes)
    apart = compare({"a": {0: SCORES["ridge"]}, "b": {1: SCORES["maml"]}})
    assert math.isnan(apart.pairs[0].p)
    assert apart.ties == ("a",)


@pytest.mark.parametrize(
    ("records", "said"),
    [
        (table(SCORES) + table({"maml": [0.5]}, run="another"), "several runs"),
        (table(SCORES) + table({"maml": [0.5]}), "stand twice"),
        (table(SCORES, shots=1), "no records"),
    ],
)
def test_rows_that_no_mean_can_be_taken_of(records, said):
    with pytest.raises(InputError, match=said):
        within_target(records, "ink/shape", "auroc", 5)
    with pytest.raises(InputError, match="not compared here"):
        compare(SCORES).row("boil")
    with pytest.raises(InputError, match="no method 'z'"):
        compare({"a": {0: [0.5, 0.6], 1: [0.5, 0.7]}}, method="z")
