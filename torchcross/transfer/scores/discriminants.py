"""The H-score: how much of the features' variance lies between class means."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from torchcross.metrics.score import Score, undefined_score
from torchcross.targets import Target
from torchcross.transfer.scores.answers import Answer, Floats, score_of_features
from torchcross.transfer.scores.singular_values import left_singular_vectors


def h_score(features: ArrayLike, labels: ArrayLike, target: Target) -> Score:
    """trace(cov(f)^+ cov(E[f|y])) of Bao et al. 2019: 0 to the number of classes - 1.

    Undefined where there are no more samples than dimensions of the features: it is the number of
    classes - 1 then, whatever the features are.
    """
    return score_of_features(features, labels, target, _h_score)


def _h_score(rows: Floats, answer: Answer) -> Score:
    vectors, values = left_singular_vectors(rows - rows.mean(axis=0))
    if len(values) >= len(rows) - 1:
        return undefined_score(
            f"saturated: {len(rows)} samples span {len(values)} dimensions, so the score is the"
            " number of classes - 1 for any labels; use shrunk_h_score"
        )
    # With F = U S V', the trace is that of U' P U, where P takes every sample to its class mean.
    means = answer.one_hot().T @ vectors / np.sqrt(answer.counts)[:, None]
    return Score(float((means**2).sum()))


def shrunk_h_score(features: ArrayLike, labels: ArrayLike, target: Target) -> Score:
    """The H-score with the covariance shrunk by Ledoit and Wolf's rule (Ibrahim et al. 2023)."""
    return score_of_features(features, labels, target, _shrunk_h_score)


def _shrunk_h_score(rows: Floats, answer: Answer) -> Score:
    from sklearn.covariance import ledoit_wolf

    samples = len(rows)
    centred = rows - rows.mean(axis=0)
    centred = centred / np.abs(centred).max()
    shrinkage = float(ledoit_wolf(centred, assume_centered=True)[1])
    if shrinkage >= 1:
        return undefined_score("the covariance is shrunk away: the features look like noise")
    vectors, values = left_singular_vectors(centred)
    mean_variance = float((centred**2).sum()) / samples / rows.shape[1]
    # In the singular vectors the shrunk covariance is diagonal.
    shrunk = (1 - shrinkage) * values**2 / samples + shrinkage * mean_variance
    means = answer.one_hot().T @ vectors / np.sqrt(answer.counts)[:, None]
    between = (means**2).sum(axis=0) * values**2 / (samples - 1)
    return Score(float((1 - shrinkage) * (between / shrunk).sum()))
