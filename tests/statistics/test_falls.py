"""Falls from balanced to natural supports, by hand."""

import math

import pytest

from torchcross.records import EpisodeRecord, Records
from torchcross.statistics import mean_interval
from torchcross.statistics.falls import falls


def table(scores, shots=5, seeds=(0,), algorithm="ncm"):
    return Records.of(
        EpisodeRecord(
            "r", target, "", algorithm, shots, seed, number, "auroc", value + 0.1 * seed, reason
        )
        for target, values in scores.items()
        for seed in seeds
        for number, value in enumerate(values)
        for reason in ["undefined" if math.isnan(value) else ""]
    )


BALANCED = {"a": [0.9, 0.7, 0.8], "b": [0.6, 0.8, 0.7]}
NATURAL = {"a": [0.7, 0.5, 0.6], "b": [0.65, 0.55, 0.6, 0.6], "c": [0.1, 0.2]}


def test_a_fall_is_the_mean_over_the_targets_of_both():
    (fall,) = falls(table(BALANCED), table(NATURAL), "auroc")
    assert (fall.algorithm, fall.shots, fall.targets) == ("ncm", 5, 2)
    assert fall.balanced == pytest.approx(0.75)
    assert fall.natural == pytest.approx(0.6)
    assert fall.fall.mean == pytest.approx(0.15)
    halves = [mean_interval(side[name]).half for side in (BALANCED, NATURAL) for name in ("a", "b")]
    assert fall.fall.half == pytest.approx(math.hypot(*halves) / 2)


def test_seeds_are_averaged_and_undefined_scores_left_out():
    (fall,) = falls(table({"a": [0.5, 0.7]}, seeds=(0, 2)), table({"a": [0.5, math.nan]}), "auroc")
    assert fall.balanced == pytest.approx(0.7)
    assert fall.natural == pytest.approx(0.5)
    assert math.isnan(fall.fall.half)  # one value has no interval
    assert falls(table(BALANCED), table({"a": [math.nan] * 3}), "auroc") == []


def test_rows_and_shots_of_one_table_alone_have_none():
    assert falls(table(BALANCED), table(NATURAL, shots=1), "auroc") == []
    assert falls(table(BALANCED), table(NATURAL, algorithm="ridge"), "auroc") == []
    assert falls(table(BALANCED), table(NATURAL), "accuracy") == []
