"""Scores of runs on targets, in numbers that a few of them do not move (Agarwal et al. 2021).

`scores` is a table with one row for each run (a training seed, for example) and one column for each
target. Larger is better. NaN stands where a run has no score. Intervals are percentiles of a
stratified bootstrap: on every target as many runs are drawn with replacement as it has, by
themselves. They say what other runs on these targets would give, not what other targets would.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross._kit.randomness import Stream, below_array
from torchcross.errors import InputError
from torchcross.statistics.intervals import (
    AT_END,
    RESAMPLES,
    Interval,
    as_values,
    check_level,
    check_resamples,
)

Floats = NDArray[np.float64]
STRATIFIED: Final = "stratified bootstrap"
ONE_RUN: Final = "one run per target has no interval"
_CUT = 0.25


@final
@dataclass(frozen=True, eq=False)
class PerformanceProfile:
    """For each threshold the share of runs above it, every target weighing the same.

    `low` and `high` bound each share by itself, at the `level`; NaN where there is no interval.
    """

    thresholds: Floats
    shares: Floats
    low: Floats
    high: Floats
    level: float


def interquartile_mean(
    scores: ArrayLike, *, level: float = 0.95, seed: int = 0, resamples: int = RESAMPLES
) -> Interval:
    """The mean of the middle half of all scores, with its interval.

    A quarter of the scores, rounded down, is left out at each end. It is harder to move by a few
    scores than a mean, and uses more of them than a median.

    >>> from torchcross.statistics import interquartile_mean
    >>> scores = np.array([[0.71, 0.62, 0.80], [0.69, 0.66, 0.78], [0.74, 0.60, 0.83]])
    >>> round(interquartile_mean(scores, resamples=199).mean, 3)
    0.716
    """
    table = as_runs(scores, "scores")
    check_level(level)
    samples = resampled_runs(table, Stream(seed, "runs"), resamples)
    count = int(np.count_nonzero(~np.isnan(table)))
    return percentile_interval(middle_means(table[None])[0], middle_means(samples), count, level)


def probability_of_improvement(
    first: ArrayLike,
    second: ArrayLike,
    *,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """How likely a run of `first` is better than one of `second` on a target, with its interval.

    It is the share of pairs of runs in which `first` is better, equal ones counting half (Mann and
    Whitney's U over the number of pairs), averaged over targets. The runs of both are resampled by
    themselves. Both tables have the same targets, and may have other numbers of runs. Where one is
    better in all pairs there is no interval: samples of these runs show no others.

    >>> from torchcross.statistics import probability_of_improvement
    >>> ours = np.array([[0.71, 0.62], [0.69, 0.66]])
    >>> theirs = np.array([[0.60, 0.63], [0.61, 0.58]])
    >>> probability_of_improvement(ours, theirs, resamples=199).mean
    0.875
    """
    one, other = as_runs(first, "first"), as_runs(second, "second")
    if one.shape[1] != other.shape[1]:
        raise InputError(
            f"first has {one.shape[1]} targets and second {other.shape[1]}; give tables of the same"
            " targets"
        )
    check_level(level)
    samples = improvements(
        *paired_samples(
            resampled_runs(one, Stream(seed, "runs", "first"), resamples),
            resampled_runs(other, Stream(seed, "runs", "second"), resamples),
            one,
            other,
        )
    )
    point = improvements(one[None], other[None])[0]
    count = int(np.count_nonzero(~np.isnan(one)) + np.count_nonzero(~np.isnan(other)))
    return unless_separated(percentile_interval(point, samples, count, level))


def performance_profile(
    scores: ArrayLike,
    thresholds: ArrayLike,
    *,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> PerformanceProfile:
    """The share of runs above each threshold, with its interval: the whole distribution at once.

    >>> from torchcross.statistics import performance_profile
    >>> scores = np.array([[0.71, 0.62, 0.80], [0.69, 0.66, 0.78]])
    >>> performance_profile(scores, [0.6, 0.7, 0.8], resamples=199).shares
    array([1. , 0.5, 0. ])
    """
    table, places = as_runs(scores, "scores"), as_values(thresholds, "thresholds")
    if not len(places):
        raise InputError(
            "performance_profile got no thresholds; give one or more, such as [0.5, 0.7, 0.9]"
        )
    check_level(level)
    samples = resampled_runs(table, Stream(seed, "runs"), resamples)
    shares = np.array([shares_above(table[None], place)[0] for place in places.tolist()])
    profiles = np.stack([shares_above(samples, place) for place in places.tolist()], axis=1)
    return with_band(places, shares, profiles, level)


def with_band(
    thresholds: Floats, shares: Floats, samples: Floats, level: float
) -> PerformanceProfile:
    """A profile with its interval at each threshold; none without samples."""
    low, high = np.full((2, len(thresholds)), np.nan)
    if len(samples):
        low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return PerformanceProfile(thresholds, shares, low, high, level)


# -- statistics of (samples, runs, targets) --------------------------------------------------------


def middle_means(samples: Floats) -> Floats:
    """The interquartile mean of each sample."""
    flat = samples.reshape(len(samples), math.prod(samples.shape[1:]))
    if not len(flat):
        return np.empty(0)
    # All samples have the same number of defined scores; NaN is sorted to the end.
    count = int(np.count_nonzero(~np.isnan(flat[0])))
    cut = int(_CUT * count)
    ordered = np.sort(flat, axis=1)
    means: Floats = ordered[:, cut : count - cut].mean(axis=1)
    return means


def improvements(first: Floats, second: Floats) -> Floats:
    """The probability of improvement of each pair of samples."""
    total = np.zeros(len(first))
    for target in range(first.shape[2]):
        x, y = first[:, :, None, target], second[:, None, :, target]
        wins = np.where(np.isnan(x + y), np.nan, (x > y) + 0.5 * (x == y))
        total += np.nanmean(wins.reshape(len(first), x.shape[1] * y.shape[2]), axis=1)
    probabilities: Floats = total / first.shape[2]
    return probabilities


def paired_samples(
    first: Floats, second: Floats, first_table: Floats, second_table: Floats
) -> tuple[Floats, Floats]:
    """Equally many samples of both: where one has none, since nothing varies, it stays as it is."""
    count = max(len(first), len(second))
    if len(first) < count:
        first = np.repeat(first_table[None], count, axis=0)
    if len(second) < count:
        second = np.repeat(second_table[None], count, axis=0)
    return first, second


def shares_above(samples: Floats, threshold: float) -> Floats:
    """The share of runs above the threshold in each sample, every target weighing the same."""
    above = np.where(np.isnan(samples), np.nan, samples > threshold)
    shares: Floats = np.nanmean(above, axis=1).mean(axis=1)
    return shares


# -- resampling ------------------------------------------------------------------------------------


def resampled_runs(table: Floats, stream: Stream, resamples: int) -> Floats:
    """(resamples, runs, targets): of every target as many runs as it has, with replacement.

    There are none where no target has two runs: nothing varies then.
    """
    check_resamples(resamples)
    if ((~np.isnan(table)).sum(axis=0) < 2).all():
        return np.empty((0, *table.shape))
    runs, targets = table.shape
    samples = np.full((resamples, runs, targets), np.nan)
    for target in range(targets):
        column = table[:, target]
        known = column[~np.isnan(column)]
        bound = np.array(len(known), dtype=np.uint64)
        words = stream.sequence(target, resamples * len(known))
        samples[:, : len(known), target] = known[below_array(words, bound)].reshape(resamples, -1)
    return samples


def percentile_interval(
    point: float, samples: Floats, count: int, level: float, method: str = STRATIFIED
) -> Interval:
    """The interval of a statistic between two quantiles of its samples; none without samples."""
    if not len(samples):
        return Interval(float(point), math.nan, math.nan, count, method, level, note=ONE_RUN)
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return Interval(float(point), low, high, count, method, level)


def unless_separated(improvement: Interval) -> Interval:
    """A probability of improvement; without its interval where one of the two is always better."""
    if improvement.low != improvement.high or improvement.mean not in (0.0, 1.0):
        return improvement
    note = f"{AT_END}: the better one is the same in all pairs of runs"
    return replace(improvement, low=math.nan, high=math.nan, note=note)


def as_runs(scores: Any, name: str) -> Floats:
    """A table of runs x targets, with a score in every column."""
    try:
        table = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} are no table of numbers ({error}); give one row per run and one column per"
            " target"
        ) from error
    if table.ndim != 2 or not table.size or np.isinf(table).any():
        raise InputError(
            f"{name} have shape {table.shape}; give one row per run and one column per target, of"
            " finite numbers or NaN"
        )
    if empty := np.flatnonzero(np.isnan(table).all(axis=0)).tolist():
        raise InputError(f"{name} have no run of the targets {empty}; leave these columns out")
    return table
