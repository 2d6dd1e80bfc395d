"""SFDA: a shrunk Fisher classifier, fitted twice (Shao et al. 2022)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from torchcross._kit.argument_checks import checked_number
from torchcross.errors import InputError
from torchcross.metrics.score import Score, undefined_score
from torchcross.targets import Target
from torchcross.transfer.scores.answers import Answer, Floats, score_of_features

_SMALLEST_SHRINKAGE = 1e-10
_CERTAIN = 1e-9
_SMALLEST = 1e-100
"""The squares of smaller features are so small that their covariance may be 0."""


def sfda(
    features: ArrayLike, labels: ArrayLike, target: Target, *, shrinkage: float | None = None
) -> Score:
    """The mean probability that a shrunk Fisher classifier gives to a sample's own class: 0 to 1.

    A first classifier says how sure each sample is. Unsure ones are moved to the mean of the other
    classes, which makes the second classifier's task harder, as fine-tuning would. `shrinkage` of
    the covariance within classes is at most 1, and by default exp(-5 times its largest eigenvalue),
    as published, so the scale of the features counts. Undefined where classes have too few samples
    to be anything but certain.
    """
    if shrinkage is not None:
        shrinkage = checked_number("shrinkage", shrinkage, above=0)
        if shrinkage > 1:
            raise InputError(
                f"shrinkage={shrinkage:g} is above 1, at which nothing of the covariance is left;"
                " give a number above 0, and at most 1"
            )
    return score_of_features(
        features,
        labels,
        target,
        lambda rows, answer: _sfda(rows, answer, shrinkage),
        scale_counts=True,
    )


def _sfda(rows: Floats, answer: Answer, shrinkage: float | None) -> Score:
    samples, width = rows.shape
    if samples - answer.num_classes < width:
        return undefined_score(
            f"saturated: {samples} samples of {answer.num_classes} classes have a singular"
            f" covariance of {width} features; give more samples or fewer features"
        )
    means = _class_means(rows, answer)
    within = _within(rows, means, answer)
    if np.abs(rows).max() < _SMALLEST:
        return undefined_score(
            f"the features are at most {np.abs(rows).max():.1e}, too small for a score in which"
            " their scale counts; multiply all features by one number"
        )
    if not np.trace(within):
        return undefined_score("saturated: the samples of each class have the same features")
    if shrinkage is None:
        shrinkage = max(math.exp(-5 * _largest_eigenvalue(within)), _SMALLEST_SHRINKAGE)
    first = _probabilities(rows, means, within, answer, shrinkage)
    # Softened, so that not every sample is sure.
    sure = _softmax(first)[np.arange(samples), answer.codes][:, None]
    others = (means.sum(axis=0) - means) / (len(means) - 1)
    mixed = sure * rows + (1 - sure) * others[answer.codes]
    means = _class_means(mixed, answer)
    within = _within(mixed, means, answer)
    second = _probabilities(mixed, means, within, answer, shrinkage)
    value = float(second[np.arange(samples), answer.codes].mean())
    if value > 1 - _CERTAIN:
        return undefined_score("saturated: the classifier is certain of every sample")
    return Score(value)


def _class_means(rows: Floats, answer: Answer) -> Floats:
    means: Floats = (answer.one_hot().T @ rows) / answer.counts[:, None]
    return means


def _within(rows: Floats, means: Floats, answer: Answer) -> Floats:
    """The covariance within classes, over all samples."""
    residuals = rows - means[answer.codes]
    within: Floats = residuals.T @ residuals / len(rows)
    return within


def _probabilities(
    rows: Floats, means: Floats, within: Floats, answer: Answer, shrinkage: float
) -> Floats:
    """Of classes with one covariance, shrunk to a multiple of the identity, by Bayes' rule."""
    width = len(within)
    shrunk = (1 - shrinkage) * within
    shrunk.flat[:: width + 1] += shrinkage * np.trace(within) / width
    directions = np.linalg.solve(shrunk, means.T)
    offsets = np.log(answer.counts / len(rows)) - 0.5 * (means.T * directions).sum(axis=0)
    return _softmax(rows @ directions + offsets)


def _softmax(logits: Floats) -> Floats:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Floats = weights / weights.sum(axis=1, keepdims=True)
    return probabilities


def _largest_eigenvalue(matrix: Floats) -> float:
    """By six steps of power iteration, as published: the shrinkage is defined by it."""
    vector = matrix.sum(axis=1)
    before = vector
    for _ in range(6):
        before = vector
        product = matrix @ vector
        length = float(np.linalg.norm(product))
        if not length:
            return 0.0
        vector = product / length
    return float(vector @ matrix @ before)
