"""AUROC and average precision of columns of scores, by counting.

Both depend on the order of the scores alone. All columns are sorted at once: an evaluation scores
many thousands of small query sets, where the calls of a general library are what takes time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

ColumnMetric: TypeAlias = Callable[[Tensor, Tensor], list[float | None]]
"""(scores, whether each is of a positive) -> the metric of each column, None where it has none."""


@dataclass(frozen=True)
class _Curves:
    """Counts of positives and negatives from the highest score down, a column for each ranking.

    last  whether a row is the last one of its score: rows of equal scores count together
    """

    positives: NDArray[np.int64]
    negatives: NDArray[np.int64]
    last: NDArray[np.bool_]


def areas_under_roc(
    scores: Float[Tensor, "N C"], positive: Bool[Tensor, "N C"]
) -> list[float | None]:
    """``P(score of a positive > score of a negative)`` of each column; None without both kinds.

    Ties count half. The value is exact: a whole number of half pairs, over the pairs.
    """
    if not len(scores):
        return [None] * scores.shape[1]
    curves = _curves(scores, positive)
    up, along = (_at_last(counts, curves.last) for counts in (curves.positives, curves.negatives))
    before = tuple(np.vstack([np.zeros_like(each[:1]), each[:-1]]) for each in (up, along))
    halves = ((along - before[1]) * (up + before[0])).sum(0).tolist()
    pairs = (curves.positives[-1] * curves.negatives[-1]).tolist()
    return [
        half / (2 * count) if count else None for half, count in zip(halves, pairs, strict=True)
    ]


def mean_precisions(
    scores: Float[Tensor, "N C"], positive: Bool[Tensor, "N C"]
) -> list[float | None]:
    """``sum_n (R_n - R_{n-1}) P_n`` over the distinct scores of each column, in float32.

    None without positives.
    """
    if not len(scores):
        return [None] * scores.shape[1]
    curves = _curves(scores, positive)
    counted = (curves.positives + curves.negatives).astype(np.float32)
    hits = curves.positives.astype(np.float32)
    precision = hits / counted
    recall = hits / np.maximum(hits[-1], 1)
    return [
        _mean_precision(recall[rows, column], precision[rows, column]) if hits[-1, column] else None
        for column, rows in enumerate(curves.last.T)
    ]


def area_under_roc(scores: Float[Tensor, " N"], positive: Bool[Tensor, " N"]) -> float | None:
    """`areas_under_roc` of one column."""
    (area,) = areas_under_roc(scores.unsqueeze(1), positive.unsqueeze(1))
    return area


def _mean_precision(recall: NDArray[np.float32], precision: NDArray[np.float32]) -> float:
    gains = np.diff(recall, prepend=np.float32(0)) * precision
    # From the lowest score up, by torch's sum: a float32 sum has other bits in another order.
    total = float(torch.from_numpy(gains[::-1].copy()).sum())
    return min(max(total, 0.0), 1.0)


def _curves(scores: Tensor, positive: Tensor) -> _Curves:
    falling = -scores.double().numpy()
    order = falling.argsort(axis=0)
    sorted_scores = np.take_along_axis(falling, order, 0)
    hits = np.take_along_axis(positive.numpy(), order, 0).cumsum(0, dtype=np.int64)
    last = np.ones(sorted_scores.shape, dtype=bool)
    last[:-1] = sorted_scores[1:] != sorted_scores[:-1]
    return _Curves(hits, np.arange(1, len(hits) + 1)[:, None] - hits, last)


def _at_last(counts: NDArray[np.int64], last: NDArray[np.bool_]) -> NDArray[Any]:
    """The counts at the last row of a score, and on its other rows those of the score above."""
    at_last: NDArray[Any] = np.maximum.accumulate(np.where(last, counts, 0), axis=0)
    return at_last
