"""Means of a row are over the episodes that all its algorithms scored; who scored too few is set
aside.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.records.sample_records import table
from torchcross.records import Records
from torchcross.statistics import (
    across_targets,
    mean_interval,
    means_of,
    paired_difference,
    within_target,
)
from torchcross.statistics.common_episodes import common_episodes

RNG = np.random.RandomState(0)
nan = math.nan
HARD = np.arange(40) % 2 == 1
STEADY = np.where(HARD, 0.5, 0.9) + RNG.normal(0, 0.01, 40)
DIVERGES = np.where(HARD, nan, STEADY - 0.05 + RNG.normal(0, 0.005, 40))
NEVER = np.full(40, nan)
RARELY = np.where(np.arange(40) < 3, 0.99, nan)


def compare(scores, **more):
    """Episodes of NaN have no row, unless nothing else is there: what has no row did not fail."""
    records = table(scores)
    columns = records.columns
    scored = set(columns["algorithm"][~np.isnan(columns["value"])])
    never = [name not in scored for name in columns["algorithm"]]
    records = records[~np.isnan(columns["value"]) | np.array(never)]
    return within_target(records, "ink/shape", "auroc", 5, **more)


def test_who_has_no_rows_where_it_is_hard_is_not_the_best():
    found = compare({"steady": STEADY, "absent": DIVERGES})
    assert np.nanmean(DIVERGES) > STEADY.mean(), "over its own episodes it would be"
    assert (found.best, found.ties) == ("steady", ())
    easy = mean_interval(STEADY[~HARD])
    steady, absent = found.rows
    assert (steady.interval.mean, steady.interval.low, steady.interval.n) == (
        easy.mean,
        easy.low,
        20,
    )
    assert (absent.interval.undefined, absent.failed) == (0, 0)
    assert found.pairs[0].difference == paired_difference(STEADY[~HARD], DIVERGES[~HARD])
    assert found.pairs[0].difference.mean == pytest.approx(
        steady.interval.mean - absent.interval.mean
    )
    assert (
        "steady: over 20 of 40 values, of the episodes that every algorithm scored" in found.notes
    )


@pytest.mark.parametrize(
    ("name", "gone", "count"), [("never", NEVER, "none"), ("rarely", RARELY, "3")]
)
def test_who_scored_next_to_nothing_takes_nothing_from_the_others(name, gone, count):
    others = {"steady": STEADY, "better": STEADY + 0.02 + RNG.normal(0, 0.001, 40)}
    found, alone = compare({**others, name: gone}), compare(others)
    assert (found.best, found.ties, found.pairs) == (alone.best, alone.ties, alone.pairs)
    assert found.rows[:2] == alone.rows
    assert not found.row(name).compared
    assert f"{name} is not compared: it scored {count} of 40 values" in found.notes


def test_half_is_enough_to_be_compared():
    half = np.where(np.arange(40) < 20, STEADY, nan)
    assert compare({"steady": STEADY, "half": half}).row("half").compared
    less = np.where(np.arange(40) < 19, STEADY, nan)
    assert not compare({"steady": STEADY, "less": less}).row("less").compared


def test_two_that_spoil_each_other_do_not_spoil_the_rest():
    first, second = np.where(HARD, nan, STEADY), np.where(HARD, STEADY, nan)
    found = compare(
        {"a": STEADY, "b": STEADY + 0.01 * RNG.random_sample(40), "first": first, "second": second}
    )
    assert [row.compared for row in found.rows] == [True, True, False, False]
    assert found.row("a").interval.n == 40
    nothing = compare({"first": first, "second": second})
    assert (nothing.best, nothing.ties, nothing.pairs) == ("", (), ())
    assert "first, second have no episode in common: they are not compared" in nothing.notes
    assert nothing.row("first").interval.mean == pytest.approx(np.nanmean(first))


def test_seeds_lose_episodes_each_for_itself():
    late = STEADY.copy()
    late[:4] = nan
    scores = {"a": {0: STEADY, 1: STEADY + 0.01}, "b": {0: STEADY + 0.02, 1: late}}
    kept = common_episodes(
        {name: {s: dict(enumerate(v)) for s, v in rows.items()} for name, rows in scores.items()}
    )
    assert [len(kept.scores["a"][seed]) for seed in (0, 1)] == [40, 36]
    # A training that failed as a whole is no matter of single episodes.
    failed = compare({"a": scores["a"], "b": {0: STEADY + 0.02, 1: NEVER}})
    assert failed.row("a").interval.n == 80
    assert failed.row("b").seeds == (0,)
    assert any("different training seeds" in note for note in failed.notes)
    # Who was not trained with a seed still cannot score its hard episodes.
    apart = compare({"a": {0: STEADY, 1: STEADY}, "b": {0: DIVERGES}})
    assert apart.row("a").interval.n == 40


def test_no_best_where_the_mean_and_the_pairs_disagree():
    # The better seed of a is one that b does not have.
    found = compare({"a": {0: STEADY, 1: STEADY + 0.3}, "b": {0: STEADY + 0.1}})
    assert found.row("a").interval.mean > found.row("b").interval.mean
    assert (found.best, found.ties) == ("", ())
    assert (
        "a has the best mean, and b the better one on the episodes of both: no best is marked"
        in found.notes
    )


def test_other_episodes_are_not_paired():
    scores = {"a": STEADY, "b": STEADY + 0.1, "c": np.roll(DIVERGES, 1)}
    found = compare(scores, episodes={"a": "x", "b": "x", "c": "y"})
    assert not found.same_episodes
    assert (found.best, found.ties) == ("", ())
    assert [(pair.first, pair.second) for pair in found.pairs] == [("a", "b")]
    assert found.row("a").interval.n == 40, "the gaps of others' episodes are not its own"
    assert (
        found.notes[0]
        == "not the same episodes (a, b | c): they are not paired, and no best is marked"
    )
    assert compare(scores, episodes=dict.fromkeys("abc", "x")) == compare(scores)
    assert not compare(scores, episodes={"a": "x"}).same_episodes


def test_means_and_ranks_are_of_the_same_numbers():
    records = Records.of([])
    for place in range(7):
        scores = {"diverges": DIVERGES + 0.001 * place, "never": NEVER, "steady": STEADY}
        records += table(scores, target=f"target {place}")
    means = means_of(records, "auroc", 5)
    for row, target in zip(means.values, means.targets, strict=True):
        found = within_target(records, target, "auroc", 5)
        assert row[[0, 2]].tolist() == [
            found.row(name).interval.mean for name in ("diverges", "steady")
        ]
        assert np.isnan(row[1])
    across = across_targets(means)
    assert across.algorithms == ("diverges", "steady")
    assert (len(across.targets), across.ranks) == (7, (2.0, 1.0))
    assert "never is left out: it has a mean of 0 of 7 targets" in across.warnings
    assert "never on target 0: not compared, it scored 0 of 40 values" in means.notes


def test_two_algorithms_are_the_fewest_that_stay():
    table_ = [[1.0, nan, 2.0], [2.0, nan, 1.0], [3.0, 4.0, nan]]
    assert across_targets(table_, ["a", "b", "c"]).algorithms == ("a", "c")
    assert across_targets([[1.0, nan], [2.0, nan]], ["a", "b"]).algorithms == ("a", "b")
