"""How sure the numbers of a calibration are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from torchcross._kit.argument_checks import as_int
from torchcross.records.predictions import Predictions
from torchcross.statistics.by_class import check_alike
from torchcross.statistics.calibration import BINS
from torchcross.statistics.draws import Draws
from torchcross.statistics.image_level import IMAGES
from torchcross.statistics.intervals import Interval, mean_interval
from torchcross.statistics.probability_tables import Costs, Floats, ProbabilityTable
from torchcross.statistics.seeds import interval_of_seeds

_ONE_SET: Final = "the calibration error of one set of images has no interval"


@final
@dataclass(frozen=True)
class CalibrationIntervals:
    """The intervals of `Calibration.brier`, `nll` and `ece`."""

    brier: Interval
    nll: Interval
    ece: Interval


def calibration_intervals(
    predictions: Iterable[Predictions],
    *,
    bins: int = BINS,
    method: str = "t",
    level: float = 0.95,
    draws: Draws | None = None,
) -> CalibrationIntervals:
    """The intervals of the numbers that `calibration` gives for these predictions.

    Those of Brier score and log-likelihood are of the linearised mean, as in `class_values`. That
    of the calibration error is of its pseudo-values, which leave out one episode after the other
    (jackknife). All are over the episodes, or over images where the `draws` of the episodes tell
    them apart, and over training seeds where there are several. Of one set of images, such as a
    test split, the first two are over its images.
    """
    several = list(predictions)
    check_alike(several)
    bins = as_int("bins", bins)
    table = ProbabilityTable.of(several)
    scale = _Scale(several, table, method, level, draws)
    costs = table.brier_costs(), table.nll_costs()
    if all(len(each.episodes) == 1 for each in several):
        brier, nll = (_over_images(each, method, level) for each in costs)
        error = float(_errors(*table.bin_sums(bins))[0])
        unknown = Interval(error, math.nan, math.nan, 1, method, level, 0, _ONE_SET)
        return CalibrationIntervals(brier, nll, unknown)
    brier, nll = map(scale.of_costs, costs)
    return CalibrationIntervals(brier, nll, scale.of_error(bins))


def _over_images(costs: Costs, method: str, level: float) -> Interval:
    """Of one set of images: each image counts as often as it has labels."""
    sums, counts = costs
    mean = float(sums.sum() / counts.sum())
    values = mean + len(sums) * (sums - mean * counts) / counts.sum()
    return _not_negative(replace(mean_interval(values, method=method, level=level), over=IMAGES))


@dataclass(frozen=True, eq=False)
class _Scale:
    """Numbers of episodes, by training seed."""

    several: Sequence[Predictions]
    table: ProbabilityTable
    method: str
    level: float
    draws: Draws | None

    def of_costs(self, costs: Costs) -> Interval:
        sums, counts = (np.bincount(self.table.place, each, self.table.episodes) for each in costs)
        total = counts.sum()
        mean = sums.sum() / total
        return self._interval(mean + len(sums) * (sums - mean * counts) / total, float(mean))

    def of_error(self, bins: int) -> Interval:
        parts = self.table.bin_sums(bins, by_episode=True)
        whole = [part.sum(axis=0, keepdims=True) for part in parts]
        error = float(_errors(*whole)[0])
        without = _errors(*(total - part for total, part in zip(whole, parts, strict=True)))
        count = len(without)
        return self._interval(count * error - (count - 1) * without, error)

    def _interval(self, values: Floats, mean: float) -> Interval:
        """The interval of values of all episodes, moved to the number that it is of."""
        ends = np.cumsum([len(each.episodes) for each in self.several])[:-1]
        interval = interval_of_seeds(
            np.split(values, ends),
            [each.episodes for each in self.several],
            method=self.method,
            level=self.level,
            draws=self.draws,
        )
        return _not_negative(_shift_to(interval, mean))


def _errors(counts: Floats, probabilities: Floats, truths: Floats) -> Floats:
    """Class-wise calibration errors by group: the mean over classes that have predictions."""
    gaps, totals = np.abs(truths - probabilities).sum(axis=2), counts.sum(axis=2)
    by_class = np.divide(gaps, totals, out=np.full(gaps.shape, np.nan), where=totals > 0)
    errors: Floats = np.nanmean(by_class, axis=1)
    return errors


def _shift_to(interval: Interval, mean: float) -> Interval:
    shift = mean - interval.mean
    inner = interval.these_images
    return replace(
        interval,
        mean=mean,
        low=interval.low + shift,
        high=interval.high + shift,
        these_images=None if inner is None else _shift_to(inner, mean),
    )


def _not_negative(interval: Interval) -> Interval:
    return interval if not interval.low < 0 else replace(interval, low=0.0)
