"""Predicted probabilities beside the truth, a row for each prediction, and what each one costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices
from torchcross.errors import InputError
from torchcross.records.predictions import Predictions

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Costs = tuple[Floats, Floats]
"""Of each row: the sum of its costs, and how many they are."""


@dataclass(frozen=True, eq=False)
class ProbabilityTable:
    """The predictions that count: those of a known label, and finite.

    log_odds    of each class (R, C)
    truth       whether the image has the class (R, C)
    known       whether that is known (R, C)
    place       which episode each row is of (R,), and `episodes` how many there are
    of_labels   whether an image may have several labels
    not_finite  how many others are left out, because they are not finite
    """

    log_odds: Floats
    truth: Mask
    known: Mask
    place: Indices
    episodes: int
    of_labels: bool
    not_finite: int

    @classmethod
    def of(cls, several: Sequence[Predictions]) -> Self:
        """The rows of all training seeds; the episodes of each seed are episodes of their own."""
        log_odds = np.concatenate([each.log_odds for each in several]).astype(np.float64)
        labels = np.concatenate([each.labels for each in several])
        of_labels, classes = labels.ndim == 2, np.arange(log_odds.shape[1])
        truth = labels
        if not of_labels:
            truth = np.where(labels[:, None] < 0, -1, labels[:, None] == classes)
        known: Mask = np.greater_equal(truth, 0)
        finite: Mask = np.asarray(np.isfinite(log_odds).all(axis=1))
        not_finite = int((known.any(axis=1) & ~finite).sum())
        known &= finite[:, None]
        rows = known.any(axis=1)
        if not rows.any():
            first = several[0]
            raise InputError(
                f"the predictions of {first.algorithm!r} for {first.source!r} have no finite one of"
                " a known label; calibration needs at least one"
            )
        sizes = np.concatenate([each.sizes for each in several])
        place = np.repeat(np.arange(len(sizes)), sizes)
        return cls(
            log_odds[rows],
            np.asarray(truth[rows] == 1),
            known[rows],
            place[rows],
            len(sizes),
            of_labels,
            not_finite,
        )

    @property
    def probabilities(self) -> Floats:
        # The logistic sigmoid by a function that does not overflow.
        return np.exp(-np.logaddexp(0, -self.log_odds))

    def brier_costs(self) -> Costs:
        """Squared errors: of labels each one, of two classes that of the second, else their sum."""
        squares = np.square(self.probabilities - self.truth)
        if self.of_labels or squares.shape[1] == 2:
            return self._of_known(squares, self.known)
        return squares.sum(axis=1), np.ones(len(squares))

    def nll_costs(self) -> Costs:
        # -log s(z) where the class is there, -log s(-z) where it is not.
        costs = np.logaddexp(0, np.where(self.truth, -self.log_odds, self.log_odds))
        return self._of_known(costs, self.known if self.of_labels else self.known & self.truth)

    def _of_known(self, costs: Floats, counted: Mask) -> Costs:
        return np.where(counted, costs, 0).sum(axis=1), counted.sum(axis=1).astype(np.float64)

    def mean(self, costs: Costs) -> float:
        return float(costs[0].sum() / costs[1].sum())

    def bin_sums(self, bins: int, *, by_episode: bool = False) -> tuple[Floats, Floats, Floats]:
        """Counts, sums of probabilities and of truths: (episodes or 1, classes, bins) each."""
        classes, probabilities = self.log_odds.shape[1], self.probabilities
        bin_of = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
        groups = self.episodes if by_episode else 1
        group_of = self.place[:, None] if by_episode else np.zeros((1, 1), dtype=np.int64)
        cells = ((group_of * classes + np.arange(classes)) * bins + bin_of)[self.known]

        def sums(values: NDArray[np.generic]) -> Floats:
            weights = values[self.known].astype(np.float64)
            flat = np.bincount(cells, weights, groups * classes * bins).astype(np.float64)
            return flat.reshape(groups, classes, bins)

        return sums(self.known), sums(probabilities), sums(self.truth)
