"""Across targets and seeds: what stands beside the mean, and where its intervals come from."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.records.sample_records import table
from torchcross.errors import InputError
from torchcross.records import Records
from torchcross.statistics import (
    across_runs,
    interquartile_mean,
    probability_of_improvement,
    share_at_chance,
    worst_mean,
)

nan = math.nan
TARGETS = [f"t{place}" for place in range(6)]


def study(seeds=(0, 1, 2), episodes=20, metric="auroc", gains=(0.05, 0.0), targets=TARGETS):
    """Records of two algorithms, and their scores by (algorithm, target, seed, episode)."""
    scores = np.random.RandomState(1).beta(6, 3, (2, len(targets), len(seeds), episodes))
    scores += np.reshape(gains, (2, 1, 1, 1))
    records = Records.of([])
    for place, target in enumerate(targets):
        by_name = {
            name: {seed: scores[row, place, column].tolist() for column, seed in enumerate(seeds)}
            for row, name in enumerate("ab")
        }
        records += table(by_name, target=target, metric=metric)
    return records, scores


def test_several_trainings_are_resampled_as_published():
    records, scores = study()
    result = across_runs(records, "auroc", 5, resamples=9999)
    means = scores.mean(axis=3).transpose(0, 2, 1)
    expected = interquartile_mean(means[0])
    row = result.row("a")
    assert row.iqm.mean == pytest.approx(expected.mean)
    assert (row.iqm.low, row.iqm.high) == pytest.approx((expected.low, expected.high), abs=0.003)
    (improvement,) = result.improvements
    better = probability_of_improvement(means[0], means[1])
    assert improvement.interval.mean == pytest.approx(better.mean)
    assert improvement.interval.low == pytest.approx(better.low, abs=0.02)
    assert (result.seeds, result.targets) == (3, tuple(TARGETS))
    assert "training seeds are resampled" in result.resampling
    assert "interquartile mean" in str(result)


def test_episodes_are_resampled_where_there_is_one_training():
    records, scores = study(seeds=(0,), episodes=50)
    result = across_runs(records, "auroc", 5)
    assert "episodes are resampled" in result.resampling
    means = scores[:, :, 0].mean(axis=2)
    row = result.row("b")
    assert row.iqm.mean == pytest.approx(interquartile_mean(means[1][None]).mean)
    # The middle four of six targets, each with the error of a mean of 50 episodes, over 4.
    error = np.sqrt((scores[1, :, 0].var(axis=1) / 50).mean() / 4)
    assert row.iqm.half == pytest.approx(1.96 * error, rel=0.3)
    (improvement,) = result.improvements
    assert improvement.interval.mean == np.mean(means[0] > means[1])


def test_a_failure_counts_as_the_chance_level_of_its_target():
    rows = Records.of([])
    for target in TARGETS:
        rows += table({"a": [nan, 0.9], "b": [0.6, 0.6]}, target=target, metric="accuracy")
    levels = dict.fromkeys(TARGETS, 0.25)
    row = across_runs(rows, "accuracy", 5, chance=levels).row("a")
    assert row.worst == 0.25
    assert row.at_chance == 0.5


def test_algorithms_meet_the_same_resampled_episodes():
    """A constant gain is an improvement in every resample, although episodes vary far more."""
    _, scores = study(seeds=(0,), episodes=20)
    rows = Records.of([])
    for place, target in enumerate(TARGETS):
        values = scores[0, place, 0]
        rows += table({"a": (values + 1e-3).tolist(), "b": values.tolist()}, target=target)
    (improvement,) = across_runs(rows, "auroc", 5).improvements
    assert improvement.interval.mean == 1.0
    # At the end of its scale there is no interval, as for a mean.
    assert math.isnan(improvement.interval.low)
    assert "the better one is the same in all pairs" in improvement.interval.note


def test_the_worst_tenth_and_the_share_at_chance():
    records, scores = study(episodes=20)
    row = across_runs(records, "auroc", 5).row("a")
    pooled = scores[0].reshape(len(TARGETS), -1)
    assert row.worst == pytest.approx(np.sort(pooled, axis=1)[:, :6].mean())
    assert row.at_chance == pytest.approx((pooled <= 0.5).mean())
    levels = {target: 0.1 * place for place, target in enumerate(TARGETS)}
    row = across_runs(records, "auroc", 5, chance=levels).row("a")
    assert row.at_chance == pytest.approx((pooled <= 0.1 * np.arange(6)[:, None]).mean())
    accuracy = study(metric="accuracy")[0]
    assert math.isnan(across_runs(accuracy, "accuracy", 5).row("a").at_chance)
    all_but_one = dict.fromkeys(TARGETS[1:], 0.5)
    assert math.isnan(across_runs(accuracy, "accuracy", 5, chance=all_but_one).row("a").at_chance)


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_a_profile_has_the_share_of_episodes_above_each_threshold(seeds):
    records, scores = study(seeds=seeds)
    profile = across_runs(records, "auroc", 5).row("b").profile
    for place in (0, 20, 60):
        assert profile.shares[place] == pytest.approx(
            (scores[1] > profile.thresholds[place]).mean()
        )
    assert profile.shares[0] == 1
    assert profile.shares[-1] == 0 or profile.thresholds[-1] < scores[1].max()
    assert (np.diff(profile.shares) <= 0).all()
    assert (profile.low <= profile.shares + 1e-12).all()
    assert (profile.high >= profile.shares - 1e-12).all()
    assert (profile.high - profile.low).max() > 0.01


def test_errors_are_better_where_they_are_smaller():
    records, scores = study(metric="mae", gains=(0.0, 0.2))
    scales = dict.fromkeys(TARGETS, "0, 1, 2")
    result = across_runs(records, "mae", 5, scales=scales)
    row = result.row("a")
    assert row.iqm.low < row.iqm.mean < row.iqm.high
    pooled = scores[0].reshape(len(TARGETS), -1)
    assert row.worst == pytest.approx(np.sort(pooled, axis=1)[:, -6:].mean())
    assert result.improvements[0].interval.mean > 0.9
    place = 30
    assert row.profile.shares[place] == pytest.approx(
        (scores[0] < row.profile.thresholds[place]).mean()
    )


def test_errors_in_different_grades_keep_the_improvements_alone():
    records, _ = study(metric="mae", gains=(0.0, 0.2))
    result = across_runs(records, "mae", 5)
    assert result.rows == ()
    assert "not averaged" in result.not_averaged
    assert result.not_averaged in str(result)
    assert result.improvements[0].interval.mean > 0.9


def test_algorithms_are_compared_on_the_same_targets_and_episodes():
    records, scores = study(seeds=(0,), episodes=10)
    columns = records.columns
    is_lost = (columns["algorithm"] == "b") & (columns["target"] == "t0")
    is_easy = (columns["algorithm"] == "b") & (columns["episode"] == 3)
    few = across_runs(records[~(is_lost | is_easy)], "auroc", 5)
    assert few.targets == tuple(TARGETS[1:])
    kept = np.delete(scores[0, 1:, 0], 3, axis=1)
    expected = interquartile_mean(kept.mean(axis=1)[None]).mean
    assert few.row("a").iqm.mean == pytest.approx(expected)
    nearly_gone = (columns["algorithm"] == "b") & (columns["target"] != "t0")
    more = records + table({"c": [0.5] * 10}, target="t0")
    assert across_runs(more, "auroc", 5).left_out == ("c",)
    with pytest.raises(InputError, match="no target has records"):
        across_runs(
            records[~nearly_gone].where(target="t0", algorithm="a")
            + records.where(target="t1", algorithm="b"),
            "auroc",
            5,
        )


def test_failures_count_as_chance_and_leave_the_others_their_episodes():
    records, scores = study(seeds=(0,), episodes=10, gains=(0.4, 0.4))
    columns = records.columns
    failed = (columns["algorithm"] == "b") & (columns["episode"] < 3)
    values, reasons = columns["value"].copy(), columns["reason"].copy()
    values[failed], reasons[failed] = nan, "diverged: the loss is not finite"
    result = across_runs(Records({**columns, "value": values, "reason": reasons}), "auroc", 5)
    # Without failures no episode is at chance, and 3 of the 10 of each target are failures.
    assert across_runs(records, "auroc", 5).row("b").at_chance == 0
    assert result.row("b").at_chance == pytest.approx(0.3)
    assert result.row("b").worst == 0.5
    whole = across_runs(records, "auroc", 5).row("a")
    assert result.row("a").iqm.mean == pytest.approx(whole.iqm.mean)
    counted = scores[1, :, 0].copy()
    counted[:, :3] = 0.5
    expected = interquartile_mean(counted.mean(axis=1)[None]).mean
    assert result.row("b").iqm.mean == pytest.approx(expected)


def test_one_score_per_target_has_no_interval():
    records, _ = study(seeds=(0,), episodes=1)
    result = across_runs(records, "auroc", 5)
    assert math.isnan(result.row("a").iqm.low)
    assert math.isnan(result.improvements[0].interval.low)
    assert np.isnan(result.row("a").profile.low).all()
    alone = across_runs(records.where(algorithm="a"), "auroc", 5)
    assert alone.improvements == ()
    with pytest.raises(InputError, match="not compared here"):
        alone.row("b")


def test_the_worst_of_a_few_values():
    assert worst_mean([0.9, 0.1, 0.5]) == 0.1
    assert worst_mean(np.arange(30.0)) == 1.0
    assert worst_mean(np.arange(31.0)) == 1.5
    assert worst_mean(np.arange(30.0), lower_is_better=True) == 28.0
    assert worst_mean([1.0, nan, 3.0], share=1.0) == 2.0
    assert math.isnan(worst_mean([nan]))
    for share in (0.0, 1.5):
        with pytest.raises(InputError, match="share"):
            worst_mean([1.0], share)


def test_chance_itself_is_no_better_than_chance():
    assert share_at_chance([0.5, 0.1 + 0.4, 0.51, 0.2, nan], 0.5) == 0.75
    assert share_at_chance([0.5, 0.51, 0.2], 0.5, lower_is_better=True) == pytest.approx(2 / 3)
    assert math.isnan(share_at_chance([], 0.5))
    assert math.isnan(share_at_chance([0.1], nan))
