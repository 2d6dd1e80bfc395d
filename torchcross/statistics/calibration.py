"""Whether probabilities mean what they say: Brier score, log-likelihood, calibration error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.argument_checks import as_int
from torchcross._kit.arrays import Indices
from torchcross.errors import InputError
from torchcross.records.predictions import Predictions
from torchcross.statistics.by_class import check_alike

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


def calibration(predictions: Iterable[Predictions], *, bins: int = BINS) -> Calibration:
    """The calibration of one algorithm on one target at one number of shots.

    `predictions` are those of its training seeds. Images of all episodes count alike; images and
    answers whose label is missing do not count. `bins` are of equal width, for each class.
    """
    several = list(predictions)
    check_alike(several)
    bins = as_int("bins", bins)
    first = several[0]
    log_odds = np.concatenate([each.log_odds for each in several]).astype(np.float64)
    labels = np.concatenate([each.labels for each in several])
    has_several_labels = labels.ndim == 2
    truth = labels
    if not has_several_labels:
        truth = np.where(labels[:, None] < 0, -1, labels[:, None] == np.arange(log_odds.shape[1]))
    known: NDArray[np.bool_] = np.greater_equal(truth, 0)
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(log_odds).all(axis=1))
    not_finite = int((known.any(axis=1) & ~finite).sum())
    known &= finite[:, None]
    if not known.any():
        raise InputError(
            f"the predictions of {first.algorithm!r} for {first.source!r} have no finite one of a"
            " known label; calibration needs at least one"
        )
    rows = known.any(axis=1)
    table = _Table(log_odds[rows], np.asarray(truth[rows] == 1), known[rows])
    reliability = _reliability(table, bins)
    return Calibration(
        first.source,
        first.algorithm,
        first.shots,
        first.classes,
        brier=table.brier(has_several_labels),
        nll=table.nll(has_several_labels),
        ece=float(np.nanmean(reliability.errors)),
        reliability=reliability,
        predictions=int(rows.sum()),
        not_finite=not_finite,
    )


@dataclass(frozen=True)
class _Table:
    """Log-odds, whether an image has a class, and whether that is known: (rows, classes) each."""

    log_odds: Floats
    truth: NDArray[np.bool_]
    known: NDArray[np.bool_]

    @property
    def probabilities(self) -> Floats:
        # The logistic sigmoid by a function that does not overflow.
        return np.exp(-np.logaddexp(0, -self.log_odds))

    def brier(self, has_several_labels: bool) -> float:
        squares = np.square(self.probabilities - self.truth)
        if has_several_labels or squares.shape[1] == 2:
            return float(squares[self.known].mean())
        return float(squares.sum(axis=1).mean())

    def nll(self, has_several_labels: bool) -> float:
        # -log s(z) where the class is there, -log s(-z) where it is not.
        costs = np.logaddexp(0, np.where(self.truth, -self.log_odds, self.log_odds))
        counted = self.known if has_several_labels else self.known & self.truth
        return float(costs[counted].mean())


def _reliability(table: _Table, bins: int) -> Reliability:
    classes = table.log_odds.shape[1]
    probabilities = table.probabilities
    places = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    cells = (np.arange(classes) * bins + places)[table.known]

    def sums(values: NDArray[np.generic]) -> Floats:
        weights = values[table.known].astype(np.float64)
        flat: Floats = np.bincount(cells, weights, classes * bins).astype(np.float64)
        return flat.reshape(classes, bins)

    counts = sums(table.known).astype(np.int64)
    empty = np.full(counts.shape, np.nan)
    mean, share = (
        np.divide(sums(values), counts, out=empty.copy(), where=counts > 0)
        for values in (probabilities, table.truth)
    )
    return Reliability(np.linspace(0, 1, bins + 1), counts, mean, share)
