"""TransRate: the coding rate of the features, less that within classes (Huang et al. 2022)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from torchcross._kit.argument_checks import checked_number
from torchcross.metrics.score import Score
from torchcross.targets import Target
from torchcross.transfer.scores.answers import (
    Answer,
    Floats,
    constant_directions,
    directions_of,
    score_of_features,
)


def transrate(
    features: ArrayLike,
    labels: ArrayLike,
    target: Target,
    *,
    distortion: float = 1e-4,
    normalise: bool = True,
) -> Score:
    """R(Z) - sum over classes of (n_c / n) R(Z_c), with R = ln det(I + Z'Z / (n distortion)) / 2.

    The features are centred, and divided by their lengths before that unless `normalise` is False:
    then their scale counts.
    """
    distortion = checked_number("distortion", distortion, above=0)

    def score(rows: Floats, answer: Answer) -> Score:
        if normalise:
            rows = directions_of(rows)
            if alike := constant_directions(rows):
                return alike
        centred = rows - rows.mean(axis=0)
        within = sum(
            count / len(rows) * _rate(centred[answer.codes == code], distortion)
            for code, count in enumerate(answer.counts)
        )
        return Score(_rate(centred, distortion) - float(within))

    return score_of_features(features, labels, target, score, scale_counts=not normalise)


def _rate(rows: Floats, distortion: float) -> float:
    samples, width = rows.shape
    products = rows.T @ rows if samples > width else rows @ rows.T
    scale = 1 / (samples * distortion)
    return float(np.linalg.slogdet(np.eye(len(products)) + scale * products)[1]) / 2
