"""How uncertain a score over the images of one split is: DeLong, and a bootstrap over subjects."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross._kit.randomness import Stream, below_array
from torchcross.errors import InputError
from torchcross.statistics.bounds import Bounds, within_bounds
from torchcross.statistics.image_level import IMAGES
from torchcross.statistics.intervals import Interval
from torchcross.statistics.special_functions import normal_quantile, t_quantile

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

OVER_SPLIT: Final = "over the images of the split that was scored, by subject where known"
NO_INTERVAL: Final = "no interval: "
NO_ERROR: Final = f"{NO_INTERVAL}the images of the split show no spread"
TOO_FEW: Final = "fewer than two images (or subjects) have a class, or fewer than two lack it"
"""Why an AUROC has no standard error."""

UNDEFINED_IN_SAMPLES: Final = "the score is undefined in half of the bootstrap samples, or more"
"""Why another score has none."""

SPLIT_RESAMPLES: Final = 200
"""Enough for a standard error, to 5 % of it."""


@final
@dataclass(frozen=True, slots=True)
class SplitError:
    """The standard error of one score over a split, and the method that gave it.

    Where the error is NaN, `reason` says why.
    """

    error: float
    method: str
    reason: str = ""


def error_of(stored: Mapping[str, Any]) -> SplitError:
    """Of a stored mapping, which has an error or a reason."""
    error = float(stored.get("error", math.nan))
    return SplitError(error, str(stored["method"]), str(stored.get("reason", "")))


def auroc_error(scores: ArrayLike, answers: ArrayLike, subjects: ArrayLike | None = None) -> float:
    """The standard error of a macro AUROC over images (DeLong et al. 1988).

    A column of `scores` and `answers` (1, 0, or -1 for unknown) for each class or label; columns
    without both answers are left out, as in the AUROC itself. With `subjects` their images are one
    cluster (Obuchowski 1997). NaN where no column is left, or where fewer than two images (with
    `subjects`, subjects) have one of the two answers of a column.
    """
    table, answer = np.asarray(scores, dtype=np.float64), np.asarray(answers)
    if table.ndim != 2 or table.shape != answer.shape:
        raise InputError(
            f"scores of shape {table.shape} and answers of shape {answer.shape}; give a row for"
            " each image and a column for each class"
        )
    units = _units(len(table), subjects)
    columns = range(table.shape[1])
    by_column = [_auroc_shares(table[:, c], answer[:, c], units) for c in columns]
    shares = [share for share in by_column if share is not None]
    if not shares:
        return math.nan
    per_unit = np.bincount(units, weights=np.mean(shares, axis=0))
    return float(np.sqrt((per_unit**2).sum()))


def _auroc_shares(scores: Floats, answers: NDArray[np.generic], units: Indices) -> Floats | None:
    """What each image adds to the error of one column's AUROC."""
    positive, negative = answers == 1, answers == 0
    if not positive.any() or not negative.any():
        return None
    shares = np.zeros(len(scores))
    auroc = math.nan
    for own, others, sign in ((positive, negative, 1.0), (negative, positive, -1.0)):
        placements = _shares_below(sign * scores[own], np.sort(sign * scores[others]))
        auroc = float(placements.mean())
        clusters = len(np.unique(units[own]))
        if clusters < 2:
            return np.full(len(scores), math.nan)
        # With one image for each subject this makes DeLong's variances, which divide by n - 1.
        factor = math.sqrt(clusters / (clusters - 1)) / own.sum()
        shares[own] = (placements - auroc) * factor
    return shares


def _shares_below(values: Floats, others: Floats) -> Floats:
    """For each value, the share of the sorted others below it; ties count half."""
    below = np.searchsorted(others, values, side="left")
    upto = np.searchsorted(others, values, side="right")
    return (below + upto) / (2 * len(others))


def bootstrap_errors(
    evaluate: Callable[[Indices], Mapping[str, float]],
    images: int,
    subjects: ArrayLike | None = None,
    *,
    seed: int = 0,
    resamples: int = SPLIT_RESAMPLES,
) -> dict[str, float]:
    """The standard error of every score that `evaluate` gives of images, by their numbers.

    Subjects (else images) are drawn with replacement. A score that is undefined in half of the
    samples, or more, has the error NaN.

    >>> from torchcross.statistics import bootstrap_errors
    >>> answers = np.array([1, 0, 1, 1, 0, 1, 0, 1])
    >>> errors = bootstrap_errors(lambda rows: {"accuracy": float(answers[rows].mean())}, images=8)
    >>> round(errors["accuracy"], 2)
    0.17
    """
    units = _units(images, subjects)
    members = np.split(np.argsort(units, kind="stable"), np.cumsum(np.bincount(units))[:-1])
    count = len(members)
    stream = Stream(seed, "bootstrap", "split", images, count)
    samples: dict[str, list[float]] = {}
    for number in range(resamples):
        words = stream.sequence(number, count)
        drawn = below_array(words, np.array(count, dtype=np.uint64))
        rows = np.concatenate([members[unit] for unit in drawn.tolist()])
        for name, value in evaluate(rows).items():
            samples.setdefault(name, []).append(value)
    return {name: _spread(values) for name, values in samples.items()}


def _spread(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    if 2 * len(defined) <= len(values):
        return math.nan
    return float(np.std(defined, ddof=1))


def split_interval(
    values: Sequence[float],
    errors: Sequence[SplitError],
    *,
    level: float = 0.95,
    bounds: Bounds | None = None,
) -> Interval:
    """The mean of a score over training seeds, and where it may lie over images and trainings.

    `errors` are those of the values; where one is NaN, there is no interval. All seeds were scored
    on the same images, so the variance over images is the mean of theirs; that of the mean over
    seeds, by t, is added. An AUROC, or another score between bounds, has its interval on the logit
    scale.
    """
    if not values or len(values) != len(errors):
        raise InputError(f"{len(values)} values with {len(errors)} errors; give one for each")
    mean, count = float(np.mean(values)), len(values)
    method = errors[0].method
    quantile = (1 + level) / 2
    variance = float(np.mean([each.error**2 for each in errors]))
    squared = float(normal_quantile(quantile)) ** 2 * variance
    if count > 1:
        squared += t_quantile(count - 1, quantile) ** 2 * float(np.var(values, ddof=1)) / count
    half = math.sqrt(squared)
    if not half > 0:
        note = _note_of_none(errors)
        return Interval(mean, math.nan, math.nan, count, method, level, note=note, over=IMAGES)
    low, high = mean - half, mean + half
    if bounds is not None:
        low, high = within_bounds(mean, half, bounds)
    return Interval(mean, low, high, count, method, level, over=IMAGES)


def _note_of_none(errors: Sequence[SplitError]) -> str:
    """Why there is no interval."""
    unknown = [each.reason for each in errors if math.isnan(each.error)]
    if not unknown:
        return NO_ERROR
    return f"{NO_INTERVAL}{unknown[0] or 'its standard error is not known'}"


def _units(images: int, subjects: ArrayLike | None) -> Indices:
    """The number of the subject of each image; without subjects each image is its own."""
    if subjects is None:
        return np.arange(images)
    names = np.asarray(subjects)
    if names.shape != (images,):
        raise InputError(f"{names.shape} subjects for {images} images; give one for each image")
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
