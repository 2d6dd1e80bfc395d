"""Prediction sets over the episodes of a row: how often they have the truth, and their size.

A label that is missing is left out. With several training seeds, the mean over them counts for each
episode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchcross.records import Predictions
from torchcross.statistics.draws import Draws
from torchcross.statistics.intervals import Interval, mean_interval


@dataclass(frozen=True)
class SetValues:
    """The prediction sets of one algorithm on one target at one number of shots.

    coverage  the share of images (multi-label: of labels of images) whose set has the truth
    size      the mean size of the sets
    largest   the size of a set that has everything
    absent    why there are no sets, or ""; coverage and size are then NaN
    """

    target: str
    algorithm: str
    shots: int
    coverage: Interval
    size: Interval
    largest: int
    absent: str = ""


def set_values(
    predictions: Sequence[Predictions], *, method: str = "t", draws: Draws | None = None
) -> SetValues | None:
    """How often prediction sets have the truth, and their size, over all training seeds.

    None where the predictions of any seed have no sets, because none were asked for.

    >>> from torchcross.records import Predictions
    >>> from torchcross.statistics import set_values
    >>> from torchcross.targets import Binary
    >>> predictions = Predictions(
    ...     source="ink/hole", task=tx.Task("hole", Binary(), domain="ink"), algorithm="logistic",
    ...     shots=5, seed=0, episodes=[0, 1], sizes=[2, 2], images=[4, 7, 2, 9],
    ...     labels=[1, 0, 1, 0], decisions=[1, 1, 1, 0],
    ...     log_odds=[[-2.0, 2.0], [-1.0, 1.0], [-3.0, 3.0], [1.0, -1.0]],
    ...     sets=[[False, True], [True, True], [False, True], [True, False]],
    ... )
    >>> values = set_values([predictions])
    >>> values.coverage.mean, values.size.mean
    (1.0, 1.25)
    """
    first, largest = predictions[0], len(predictions[0].task.target.values)
    reasons = [each.sets_absent for each in predictions if each.sets_absent]
    if reasons:
        none = mean_interval([math.nan], method=method)
        return SetValues(
            first.source, first.algorithm, first.shots, none, none, largest, absent=reasons[0]
        )
    tables = [_values_by_episode(each) for each in predictions]
    known = [table for table in tables if table is not None]
    if not known or len(known) < len(tables):
        return None
    episodes = np.unique(np.concatenate([each.episodes for each in predictions]))
    sums = np.zeros((2, len(episodes)))
    counts = np.zeros(len(episodes))
    for each, table in zip(predictions, known, strict=True):
        places = np.searchsorted(episodes, each.episodes)
        sums[:, places] += table
        counts[places] += 1
    coverage, size = (
        mean_interval(row, method=method, draws=draws, episodes=episodes) for row in sums / counts
    )
    return SetValues(first.source, first.algorithm, first.shots, coverage, size, largest)


def _values_by_episode(predictions: Predictions) -> NDArray[np.float64] | None:
    """(coverage, size) of each episode; NaN where no label of an episode is known."""
    sets, labels = predictions.sets, predictions.labels
    if sets is None:
        return None
    has_truth = np.take_along_axis(sets, np.maximum(labels, 0)[..., None], axis=-1)[..., 0]
    values = []
    for value in (has_truth, sets.sum(-1)):
        of_known = np.where(labels >= 0, value, np.nan)
        parts = np.split(of_known, np.cumsum(predictions.sizes)[:-1])
        values.append([np.nanmean(part) if np.isfinite(part).any() else np.nan for part in parts])
    return np.array(values, dtype=np.float64)
