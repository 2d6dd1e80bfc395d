"""LogME: the evidence of a Bayesian linear regression of label columns on features.

You et al. 2021 maximise the evidence by a fixed point. Their code leaves out (D - k) ln(alpha) / 2
where there are fewer samples than features, and its rounding guard makes the value depend on the
scale of the features. Here the evidence itself is maximised: written in the left singular vectors
of the features, it is a function of one number.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from torchcross.metrics.score import Score, average_score, undefined_score
from torchcross.targets import Target
from torchcross.transfer.scores.answers import (
    Floats,
    checked_codes,
    checked_features,
    constant_features,
    in_safe_units,
)
from torchcross.transfer.scores.singular_values import left_singular_vectors

_POWERS = np.linspace(-12.0, 30.0, 169)
"""Powers of ten of the ratio of signal to noise where the search for the maximum starts."""
_NO_RESIDUAL = 1e-20


def logme(features: ArrayLike, labels: ArrayLike, target: Target) -> Score:
    """The mean over label columns of the largest log evidence for each sample.

    The columns are `target.label_columns`: one for each class, for each label, or for each step of
    an ordinal scale. There is no intercept, as published: a shift of the features changes the
    value, their scale and a rotation do not.
    """
    rows = in_safe_units(checked_features(features))
    columns = target.label_columns(checked_codes(labels, target, len(rows)))
    known = ~np.isnan(columns)
    present = [
        number
        for number in range(columns.shape[1])
        if np.unique(columns[known[:, number], number]).size > 1
    ]
    if not present:
        return undefined_score("the labelled samples are of one class: nothing to tell apart")
    evidence: list[float | None] = [None] * columns.shape[1]
    constant: Score | None = None
    masks = {known[:, number].tobytes(): known[:, number] for number in present}
    for mask, samples in masks.items():
        # Samples with one label may be alike where all samples are not.
        if alike := constant_features(rows[samples]):
            constant = alike
            continue
        vectors, values = left_singular_vectors(rows[samples])
        for number in (each for each in present if known[:, each].tobytes() == mask):
            evidence[number] = _largest_evidence(vectors, values, columns[samples, number])
    scored = [number for number in present if evidence[number] is not None]
    if constant and not scored:
        return constant
    return _mean(evidence, scored, target)


def _mean(evidence: list[float | None], present: list[int], target: Target) -> Score:
    unbounded = [number for number in present if evidence[number] == math.inf]
    if unbounded:
        return undefined_score(
            f"saturated: the features give {len(unbounded)} of {len(present)} label columns without"
            " an error, and the evidence has no maximum; give more samples or fewer features"
        )
    if len(present) == len(evidence):
        return Score(math.fsum(filter(None, evidence)) / len(evidence))
    names = [f"column {number}" for number in range(len(evidence))]
    if len(names) == target.num_classes:
        names = list(target.classes)
    return average_score(evidence, names, "label columns", "")


def log_evidence(features: ArrayLike, column: ArrayLike) -> float:
    """The largest log evidence of one column, divided by the number of samples.

    `inf` where features of fewer dimensions than samples give the column without an error.
    """
    vectors, values = left_singular_vectors(in_safe_units(checked_features(features)))
    return _largest_evidence(vectors, values, np.asarray(column, dtype=np.float64))


def _largest_evidence(vectors: Floats, values: Floats, column: Floats) -> float:
    """Of column ~ N(0, noise (I + ratio F F')), over noise and ratio.

    Given the ratio, the best noise is known: what is left is a function of the ratio.
    """
    from scipy.optimize import minimize_scalar

    samples = len(column)
    coordinates = vectors.T @ column
    residual = column - vectors @ coordinates
    inside, outside = coordinates**2, float(residual @ residual)
    if samples > len(values) and outside <= _NO_RESIDUAL * float(column @ column):
        return math.inf
    # The evidence does not depend on the scale of the features.
    squares = (values / values[0]) ** 2

    def loss(power: float) -> float:
        spread = 1 + 10.0**power * squares
        noise = ((inside / spread).sum() + outside) / samples
        return float(np.log(spread).sum() + samples * math.log(noise))

    losses = [loss(power) for power in _POWERS]
    best = int(np.argmin(losses))
    low, high = _POWERS[max(best - 1, 0)], _POWERS[min(best + 1, len(_POWERS) - 1)]
    least = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-10})
    smallest = min(float(least.fun), losses[best])
    return -0.5 * (smallest / samples + 1 + math.log(2 * math.pi))
