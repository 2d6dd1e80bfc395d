"""Across targets and training seeds: what the mean over targets does not say of an algorithm.

The interquartile mean, the probability of improvement and performance profiles are those of
Agarwal et al. (2021), "Deep reinforcement learning at the edge of the statistical precipice".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.counts import count_text
from torchcross.errors import InputError
from torchcross.metrics.reference_values import CHANCE, lower_is_better
from torchcross.records.published_means import Means
from torchcross.records.records import Records
from torchcross.records.shots import shots_text
from torchcross.statistics.aggregates import (
    PerformanceProfile,
    improvements,
    middle_means,
    paired_samples,
    percentile_interval,
    unless_separated,
    with_band,
)
from torchcross.statistics.common_episodes import common_episodes, scores_of
from torchcross.statistics.complete_tables import complete_targets, without_sparse
from torchcross.statistics.failures import count_failures, reasons_of
from torchcross.statistics.grade_scales import scale_problem
from torchcross.statistics.intervals import Interval, check_level, check_resamples
from torchcross.statistics.row_lookup import row_of
from torchcross.statistics.run_resampling import (
    Resampling,
    RunScores,
    SeedScores,
    profile_of,
    resampling_of,
    run_table,
)
from torchcross.statistics.tails import share_at_chance, worst_mean
from torchcross.statistics.within_target import check_rows

Floats = NDArray[np.float64]
RESAMPLES: Final = 2000
THRESHOLDS: Final = 81


@final
@dataclass(frozen=True, eq=False)
class RunSummary:
    """One algorithm. Every target weighs the same, in all but the interquartile mean.

    `iqm` is the interquartile mean of its scores, one for each training seed and target: the mean
    over episodes. `worst` is the mean of the worst tenth of the episodes of a target. `at_chance`
    is the share of episodes at chance level or worse, NaN where the level of a target is not known.
    `profile` has the share of episodes that are better than each threshold.

    >>> from torchcross.records import EpisodeRecord, Records
    >>> from torchcross.statistics import across_runs
    >>> records = Records.of(
    ...     EpisodeRecord("run", target, "ink", name, 5, seed, place, "auroc", best - place / 100)
    ...     for name, best in {"ridge": 0.8, "ncm": 0.75}.items()
    ...     for target in ("disc", "star") for seed in (0, 1) for place in range(10)
    ... )
    >>> row = across_runs(records, "auroc", shots=5).row("ridge")
    >>> round(row.iqm.mean, 3), round(row.worst, 3), row.at_chance
    (0.755, 0.71, 0.0)
    """

    algorithm: str
    iqm: Interval
    worst: float
    at_chance: float
    profile: PerformanceProfile


@final
@dataclass(frozen=True, slots=True)
class Improvement:
    """How likely `first` is better than `second`, on a target and in a training taken at random.

    >>> from torchcross.records import EpisodeRecord, Records
    >>> from torchcross.statistics import across_runs
    >>> records = Records.of(
    ...     EpisodeRecord("run", "disc", "ink", name, 5, seed, 0, "auroc", score - seed / 100)
    ...     for name, score in {"ridge": 0.8, "ncm": 0.75}.items()
    ...     for seed in (0, 1, 2)
    ... )
    >>> (pair,) = across_runs(records, "auroc", shots=5).improvements
    >>> pair.first, pair.second, pair.interval.mean
    ('ridge', 'ncm', 1.0)
    """

    first: str
    second: str
    interval: Interval


@final
@dataclass(frozen=True, eq=False)
class AcrossRuns:
    """The algorithms across targets and training seeds, all on the same `targets`.

    `resampling` says what the intervals come from. Where there is one training seed they resample
    episodes, and say nothing of another training. `not_averaged` says why only the improvements are
    there: the metric is in grades, and the targets have different ones. `left_out` are algorithms
    with too few targets.
    """

    metric: str
    shots: int
    targets: tuple[str, ...]
    seeds: int
    rows: tuple[RunSummary, ...]
    improvements: tuple[Improvement, ...]
    resampling: str
    level: float
    not_averaged: str
    left_out: tuple[str, ...]

    def row(self, algorithm: str) -> RunSummary:
        return row_of(self.rows, algorithm)

    def __str__(self) -> str:
        rows = [
            f"{row.algorithm}: interquartile mean {_with_bounds(row.iqm)}, worst tenth"
            f" {row.worst:.3f}, at chance or worse {row.at_chance:.3f}"
            for row in self.rows
        ]
        pairs = [
            f"P({each.first} better than {each.second}) {_with_bounds(each.interval)}"
            for each in self.improvements
        ]
        notes = [self.not_averaged, f"{self.level:.0%} intervals: {self.resampling}"]
        sizes = shots_text(self.shots), count_text(len(self.targets), "targets")
        title = ", ".join([self.metric, *sizes])
        return "\n  ".join([title, *rows, *pairs, *filter(None, notes)])


def _with_bounds(interval: Interval) -> str:
    if math.isnan(interval.low):
        return f"{interval.mean:.3f}"
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def across_runs(
    records: Records,
    metric: str,
    shots: int,
    *,
    chance: Mapping[str, float] | None = None,
    scales: Mapping[str, str] | None = None,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> AcrossRuns:
    """Compare algorithms over targets, training seeds and episodes.

    They are compared over the same episodes of each target, with failures counted as in
    `within_target`, and over the targets that all of them have; algorithms without more than half
    of the targets are left out. `chance` has the chance level of the metric on each target, where
    it is not the same for all of them.
    `scales` are those of `across_targets`.
    """
    check_level(level)
    check_resamples(resamples)
    records, levels = records.where(metric=metric, shots=shots), chance or {}
    by_target = {
        target: _scores_on(
            records.where(target=target),
            f"{metric!r} at {shots_text(shots)} of {target!r}",
            levels.get(target),
        )
        for target in records.unique("target")
    }
    present = tuple(records.unique("algorithm"))
    algorithms, targets = _complete_part(by_target, present)
    if not targets:
        raise InputError(
            f"no target has records of {metric!r} at {shots_text(shots)} that all of"
            f" {list(present)} can be compared on; give records of the same targets and episodes"
        )
    lower = lower_is_better(metric)
    # Where smaller values are better, signs are exchanged, and at the end exchanged back.
    sign = -1.0 if lower else 1.0
    scores = {
        name: [[sign * values for values in by_target[target][name]] for target in targets]
        for name in algorithms
    }
    not_averaged = scale_problem(metric, targets, scales or {})
    compare = _Comparison(scores, resampling_of(scores, seed, resamples), level)
    rows: list[RunSummary] = []
    if not not_averaged:
        chances = [levels.get(target, CHANCE.get(metric, math.nan)) for target in targets]
        thresholds = _thresholds(scores)
        rows = [compare.summary(name, sign, thresholds, chances) for name in algorithms]
    return AcrossRuns(
        metric,
        shots,
        targets,
        max(len(seeds) for by_name in scores.values() for seeds in by_name),
        tuple(rows),
        tuple(compare.improvement(*pair) for pair in combinations(algorithms, 2)),
        compare.resampling.name,
        level,
        not_averaged,
        tuple(name for name in present if name not in algorithms),
    )


@final
class _Comparison:
    """Scores of which larger ones are better, and their resampled tables."""

    def __init__(self, scores: RunScores, resampling: Resampling, level: float) -> None:
        self.scores, self.resampling, self.level = scores, resampling, level
        self._tables = {name: run_table(targets) for name, targets in scores.items()}
        self._samples = {name: resampling.samples(name) for name in scores}

    def summary(
        self, algorithm: str, sign: float, thresholds: Floats, chance: Sequence[float]
    ) -> RunSummary:
        """In the signs of the metric again; `chance` is that of each target."""
        targets, table = self.scores[algorithm], self._tables[algorithm]
        iqm = self._interval(
            middle_means(table[None])[0], middle_means(self._samples[algorithm]), table
        )
        pooled = [np.concatenate(seeds) for seeds in targets]
        at_chance = [
            share_at_chance(values, sign * chance[place]) for place, values in enumerate(pooled)
        ]
        profile = with_band(
            thresholds,
            profile_of(targets, thresholds),
            self.resampling.profiles(algorithm, thresholds),
            self.level,
        )
        return RunSummary(
            algorithm,
            _with_sign(iqm, sign),
            sign * float(np.mean([worst_mean(values) for values in pooled])),
            float(np.mean(at_chance)),
            replace(profile, thresholds=sign * thresholds),
        )

    def improvement(self, first: str, second: str) -> Improvement:
        one, other = self._tables[first], self._tables[second]
        samples = improvements(
            *paired_samples(self._samples[first], self._samples[second], one, other)
        )
        point = improvements(one[None], other[None])[0]
        interval = self._interval(point, samples, np.concatenate([one, other]))
        return Improvement(first, second, unless_separated(interval))

    def _interval(self, point: float, samples: Floats, table: Floats) -> Interval:
        count = int(np.count_nonzero(~np.isnan(table)))
        return percentile_interval(point, samples, count, self.level, self.resampling.name)


def _with_sign(interval: Interval, sign: float) -> Interval:
    low, high = sorted((sign * interval.low, sign * interval.high))
    return replace(interval, mean=sign * interval.mean, low=low, high=high)


def _scores_on(records: Records, description: str, chance: float | None) -> dict[str, list[Floats]]:
    """The scores of the compared algorithms, by training seed, in the order of the episodes."""
    check_rows(records, description)
    metric = records.unique("metric")[0]
    failures = count_failures(scores_of(records), reasons_of(records), metric, chance)
    common = common_episodes(failures.scores)
    return {
        name: [np.array(list(row.values())) for row in common.scores[name].values() if row]
        for name in common.compared_algorithms
    }


def _complete_part(
    by_target: Mapping[str, Mapping[str, SeedScores]], algorithms: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The algorithms that are compared, and the targets that all of them have."""
    known = [
        [1.0 if scores.get(name) else math.nan for name in algorithms]
        for scores in by_target.values()
    ]
    means = without_sparse(Means(known, algorithms, list(by_target)))
    return means.algorithms, complete_targets(means)


def _thresholds(scores: RunScores) -> Floats:
    """Equally far apart, from below the worst score to the best one."""
    values = np.concatenate([v for targets in scores.values() for seeds in targets for v in seeds])
    low, high = float(values.min()), float(values.max())
    return np.linspace(low - (high - low) / (THRESHOLDS - 1), high, THRESHOLDS)
