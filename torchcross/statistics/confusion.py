"""Confusion matrices: what images of each class are taken for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices
from torchcross.records.predictions import Predictions
from torchcross.statistics.by_class import check_alike


@final
@dataclass(frozen=True, eq=False)
class Confusion:
    """`counts[i, j]` predictions are of images of class i and were decided to be of class j.

    They are summed over episodes and training seeds. `share` is of each row, NaN in an empty one.
    """

    target: str
    algorithm: str
    shots: int
    classes: tuple[str, ...]
    counts: Indices

    @property
    def share(self) -> NDArray[np.float64]:
        totals = self.counts.sum(axis=1, keepdims=True)
        shares: NDArray[np.float64] = np.divide(
            self.counts, totals, out=np.full(self.counts.shape, np.nan), where=totals > 0
        )
        return shares


def confusion_matrix(predictions: Iterable[Predictions]) -> Confusion | None:
    """The confusion matrix of one algorithm on one target at one number of shots.

    None where an image can have several labels: it has no one class that could be taken for
    another. Episodes with a prediction that is not finite are left out.
    """
    several = list(predictions)
    check_alike(several)
    first = several[0]
    if first.labels.ndim == 2:
        return None
    count = len(first.classes)
    counts = np.zeros((count, count), dtype=np.int64)
    for each in several:
        for episode in each:
            known = episode.labels >= 0
            if np.isfinite(episode.log_odds[known]).all():
                np.add.at(counts, (episode.labels[known], episode.decisions[known]), 1)
    return Confusion(first.source, first.algorithm, first.shots, first.classes, counts)
