"""Shares of query images, or of pairs of them, by class: sums over the episodes of predictions.

Each measure is a share: hits over trials, both summed over episodes. Images of two episodes are
never compared, because each episode has a predictor of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.argument_checks import check_choice, checked_number
from torchcross._kit.arrays import Indices
from torchcross._kit.missing_labels import MISSING
from torchcross.errors import InputError
from torchcross.records.predictions import Predictions

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Threshold = Literal["episode", "pooled"]

AUROC: Final = "auroc"
SENSITIVITY: Final = "sensitivity"
SPECIFICITY: Final = "specificity"
SENSITIVITY_AT: Final = "sensitivity_at_specificity"
MEASURES: Final = (AUROC, SENSITIVITY, SPECIFICITY, SENSITIVITY_AT)


@final
@dataclass(frozen=True, eq=False)
class QueryImages:
    """The predictions of one training seed, each class against all others.

    An episode with a prediction that is not finite is left out, as its metrics are.

    episodes  number of each episode (E,)
    place     which of them each row is of (R,)
    images    number of each row's image (R,)
    subjects  anonymous number of each row's subject (R,), or None
    truth     whether the image is of the class: 1, 0, or -1 where that is not known (R, C)
    decided   whether the algorithm answers the class (R, C)
    scores    log-odds (R, C)
    above     whether the log-odds are above the threshold of the fixed specificity, from 0 to 1: a
              threshold between two images counts in part; NaN where no image lacks the class and
              there is no threshold (R, C)
    """

    episodes: Indices
    place: Indices
    images: Indices
    subjects: Indices | None
    truth: Indices
    decided: Mask
    scores: Floats
    above: Floats

    def sums(self, measure: str, column: int, chosen: Mask) -> tuple[Floats, Floats]:
        """(hits, trials) of a class in each episode, over the chosen rows."""
        if measure == AUROC:
            truth = self.truth[:, column]
            known = chosen & (truth != MISSING)
            return self._pairs(column, known & (truth == 1), known)
        hits, trials = self.row_shares(measure, column)
        trials = trials & chosen
        return self._sum(hits * trials), self._sum(trials)

    def row_shares(self, measure: str, column: int) -> tuple[NDArray[Any], Mask]:
        """(whether each row is a hit, whether it is a trial) of a measure that is no AUROC."""
        positive, negative = self.truth[:, column] == 1, self.truth[:, column] == 0
        if measure == SPECIFICITY:
            return ~self.decided[:, column], negative
        if measure == SENSITIVITY:
            return self.decided[:, column], positive
        above = self.above[:, column]
        return np.nan_to_num(above), positive & ~np.isnan(above)

    def _sum(self, values: NDArray[Any]) -> Floats:
        sums = np.bincount(self.place, weights=values, minlength=len(self.episodes))
        return sums.astype(np.float64)

    def _pairs(self, column: int, positive: Mask, known: Mask) -> tuple[Floats, Floats]:
        """Pairs of an image with the class and one without, in one episode; ties count half."""
        rows = np.flatnonzero(known)
        rows = rows[np.lexsort((self.scores[rows, column], self.place[rows]))]
        place, scores = self.place[rows], self.scores[rows, column]
        count = len(self.episodes)
        is_new = np.ones(len(rows), dtype=np.bool_)
        is_new[1:] = (np.diff(place) != 0) | (np.diff(scores) != 0)
        # Rows that tie have the mean of their ranks; ranks begin at 1 in each episode.
        group = np.cumsum(is_new) - 1
        ranks = np.bincount(group, weights=np.arange(len(rows))) / np.maximum(np.bincount(group), 1)
        starts = np.concatenate([[0], np.cumsum(np.bincount(place, minlength=count))[:-1]])
        rank = ranks[group] - starts[place] + 1 if len(rows) else np.empty(0)
        hit = positive[rows]
        positives = np.bincount(place[hit], minlength=count)
        negatives = np.bincount(place[~hit], minlength=count)
        sums = np.bincount(place[hit], weights=rank[hit], minlength=count)
        return sums - positives * (positives + 1) / 2, (positives * negatives).astype(np.float64)


def query_images(
    predictions: Predictions, specificity: float, threshold: Threshold = "episode"
) -> QueryImages:
    """The predictions as tables of classes.

    The threshold is the log-odds that the share `specificity` of the images without the class lie
    below. It is chosen on these images: those of each episode, or those of all episodes
    ("pooled").
    """
    check_specificity(specificity)
    check_choice("threshold", threshold, ("episode", "pooled"))
    truth, decided = (
        _by_class(predictions.labels, predictions),
        _by_class(predictions.decisions, predictions),
    )
    scores = predictions.log_odds.astype(np.float64)
    place = np.repeat(np.arange(len(predictions)), predictions.sizes)
    not_finite = (np.isnan(scores) & (truth != MISSING)).any(axis=1)
    whole = np.setdiff1d(np.arange(len(predictions)), place[not_finite])
    rows = np.isin(place, whole)
    place = np.searchsorted(whole, place[rows])
    truth, scores = truth[rows], scores[rows]
    blocks = place if threshold == "episode" else np.zeros_like(place)
    return QueryImages(
        predictions.episodes[whole],
        place,
        predictions.images[rows],
        None if predictions.subjects is None else predictions.subjects[rows],
        truth,
        decided[rows] == 1,
        scores,
        _above(truth, scores, blocks, specificity),
    )


def check_specificity(specificity: float) -> None:
    if not 0 < checked_number("specificity", specificity) < 1:
        raise InputError(f"specificity={specificity!r}; give a number between 0 and 1, such as 0.9")


def _by_class(answers: Indices, predictions: Predictions) -> Indices:
    """Answers as one column of 1, 0 and -1 for each class."""
    if answers.ndim == 2:
        return answers
    columns = np.arange(len(predictions.classes))
    return np.where(answers[:, None] == MISSING, MISSING, answers[:, None] == columns)


def _above(truth: Indices, scores: Floats, blocks: Indices, specificity: float) -> Floats:
    """How far each row lies above the threshold of its block, from 0 to 1.

    Of n images without the class, (1 - specificity) n lie above the threshold. Where that is no
    whole number, the result is between those of the two whole numbers next to it.
    """
    above = np.zeros(scores.shape)
    ends = np.searchsorted(blocks, np.unique(blocks), side="right").tolist()
    for start, end in zip([0, *ends][:-1], ends, strict=True):
        for column in range(scores.shape[1]):
            negatives = np.sort(scores[start:end, column][truth[start:end, column] == 0])
            if not len(negatives):
                above[start:end, column] = np.nan
                continue
            share = (1 - specificity) * len(negatives)
            # 0.1 * 10 is 1, also where the digits of 1 - 0.9 say a little less.
            whole = int(share + 1e-9)
            part = max(share - whole, 0.0)
            thresholds = np.concatenate([[-np.inf], negatives])
            for weight, count in ((1 - part, whole), (part, whole + 1)):
                if weight > 1e-9:
                    limit = thresholds[len(negatives) - count]
                    above[start:end, column] += weight * (scores[start:end, column] > limit)
    return above
