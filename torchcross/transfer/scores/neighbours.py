"""Leave-one-out accuracy of nearest neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from torchcross._kit.argument_checks import as_int, check_choice
from torchcross.metrics.score import Score, undefined_score
from torchcross.targets import Target
from torchcross.transfer.scores.answers import (
    Answer,
    Floats,
    constant_directions,
    directions_of,
    score_of_features,
)

_BLOCK = 512
_TIE = 1e-12


def knn(
    features: ArrayLike,
    labels: ArrayLike,
    target: Target,
    *,
    neighbours: int = 1,
    metric: str = "cosine",
) -> Score:
    """The share of samples whose class wins the vote of their nearest other samples.

    Neighbours as near as the last one vote too, and classes with equal votes share the sample, so
    the order of samples does not count. `metric` is "cosine" or "euclidean".
    """
    check_choice("metric", metric, ("cosine", "euclidean"))
    neighbours = as_int("neighbours", neighbours)
    return score_of_features(
        features, labels, target, lambda rows, answer: _accuracy(rows, answer, neighbours, metric)
    )


def _accuracy(rows: Floats, answer: Answer, neighbours: int, metric: str) -> Score:
    if answer.counts.max() == 1:
        return undefined_score(
            "every class has one sample, so no sample has a neighbour of its class"
        )
    nearest = min(neighbours, len(rows) - 1)
    rows = rows / np.abs(rows).max()
    if metric == "cosine":
        rows = directions_of(rows)
        if alike := constant_directions(rows):
            return alike
    else:
        # Differences of large numbers would hide small distances.
        rows = rows - rows.mean(axis=0)
    squares = (rows**2).sum(axis=1)
    votes_of = answer.one_hot()
    right = 0.0
    for start in range(0, len(rows), _BLOCK):
        block = slice(start, min(start + _BLOCK, len(rows)))
        similarity = 2 * rows[block] @ rows.T - squares[None] - squares[block, None]
        own = np.arange(len(similarity))
        similarity[own, own + start] = -np.inf
        last = np.partition(similarity, -nearest, axis=1)[:, -nearest]
        votes = (similarity >= last[:, None] - _TIE) @ votes_of
        winners = votes == votes.max(axis=1, keepdims=True)
        right += float((winners[own, answer.codes[block]] / winners.sum(axis=1)).sum())
    return Score(right / len(rows))
