"""Whether probabilities mean what they say: Brier score, log-likelihood, calibration error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.argument_checks import as_int
from torchcross._kit.arrays import Indices
from torchcross.records.predictions import Predictions
from torchcross.statistics.by_class import check_alike
from torchcross.statistics.probability_tables import ProbabilityTable

BINS: Final = 15
Floats = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class Reliability:
    """What was predicted and what was true, by class and by bin of the predicted probability.

    edges   (B + 1,) of bins of equal width; a probability on an edge is in the upper bin
    counts  (C, B) predictions in each bin
    mean    (C, B) their mean probability; NaN in an empty bin
    share   (C, B) the share of them whose image has the class; NaN in an empty bin

    >>> from torchcross.statistics import Reliability
    >>> reliability = Reliability(
    ...     edges=np.array([0.0, 0.5, 1.0]),
    ...     counts=np.array([[30, 10]]),
    ...     mean=np.array([[0.25, 0.75]]),
    ...     share=np.array([[0.25, 0.5]]),
    ... )
    >>> reliability.errors  # a quarter of the predictions, off by a quarter
    array([0.0625])
    """

    edges: Floats
    counts: Indices
    mean: Floats
    share: Floats

    @property
    def errors(self) -> Floats:
        """The expected calibration error of each class: the mean |share - mean| over predictions.

        NaN for a class without predictions.
        """
        gaps = np.nan_to_num(np.abs(self.share - self.mean))
        totals = self.counts.sum(axis=1)
        sums = (gaps * self.counts).sum(axis=1)
        errors: Floats = np.divide(sums, totals, out=np.full(len(sums), np.nan), where=totals > 0)
        return errors


@final
@dataclass(frozen=True, eq=False)
class Calibration:
    """How well the probabilities of one algorithm fit one target at one number of shots.

    brier        mean squared error of probabilities. Of two classes, that of the second one; of
                 more classes, the sum over them (Brier 1950); of labels, the mean over all of them
    nll          mean negative log-likelihood (nats) of the true class, or of each label
    ece          class-wise expected calibration error: the mean over classes of
                 `reliability.errors` (Kull et al. 2019)
    predictions  how many predictions they are of, over all episodes and training seeds
    not_finite   how many others are left out, because they are not finite
    of_labels    whether an image may have several labels

    All of them are 0 for a perfect predictor, and lower is better.
    """

    target: str
    algorithm: str
    shots: int
    classes: tuple[str, ...]
    brier: float
    nll: float
    ece: float
    reliability: Reliability
    predictions: int
    not_finite: int
    of_labels: bool = False


def calibration(predictions: Iterable[Predictions], *, bins: int = BINS) -> Calibration:
    """The calibration of one algorithm on one target at one number of shots.

    `predictions` are those of its training seeds. Images of all episodes count alike; images and
    answers whose label is missing do not count. `bins` are of equal width, for each class.
    """
    several = list(predictions)
    check_alike(several)
    bins = as_int("bins", bins)
    first = several[0]
    table = ProbabilityTable.of(several)
    reliability = _reliability(table, bins)
    return Calibration(
        first.source,
        first.algorithm,
        first.shots,
        first.classes,
        brier=table.mean(table.brier_costs()),
        nll=table.mean(table.nll_costs()),
        ece=float(np.nanmean(reliability.errors)),
        reliability=reliability,
        predictions=len(table.log_odds),
        not_finite=table.not_finite,
        of_labels=table.of_labels,
    )


def _reliability(table: ProbabilityTable, bins: int) -> Reliability:
    counts, mean, share = (each[0] for each in table.bin_sums(bins))
    empty = np.full(counts.shape, np.nan)
    mean, share = (
        np.divide(sums, counts, out=empty.copy(), where=counts > 0) for sums in (mean, share)
    )
    return Reliability(np.linspace(0, 1, bins + 1), counts.astype(np.int64), mean, share)
