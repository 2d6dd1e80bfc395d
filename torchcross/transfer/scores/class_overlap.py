"""GBC: the overlap of classes as Gaussians, by Bhattacharyya's coefficient (Pandy et al. 2022)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from torchcross._kit.argument_checks import check_choice
from torchcross.metrics.score import Score
from torchcross.targets import Target
from torchcross.transfer.scores.answers import Answer, Floats, score_of_features
from torchcross.transfer.scores.singular_values import principal_components

_SMALLEST_VARIANCE = 1e-4


def gbc(
    features: ArrayLike,
    labels: ArrayLike,
    target: Target,
    *,
    covariance: str = "diagonal",
    components: int | None = 64,
) -> Score:
    """Minus the sum over ordered pairs of classes of exp(-Bhattacharyya distance); 0 is no overlap.

    Wider features are taken in their first `components` principal components, as published.
    `covariance` is "diagonal" or "spherical". Variances below 1e-4 count as 1e-4, as published, so
    the scale of the features counts.
    """
    check_choice("covariance", covariance, ("diagonal", "spherical"))

    def score(rows: Floats, answer: Answer) -> Score:
        if components is not None and rows.shape[1] > components:
            rows = principal_components(rows, components)
        return _overlap(rows, answer, covariance)

    return score_of_features(features, labels, target, score, scale_counts=True)


def _overlap(rows: Floats, answer: Answer, covariance: str) -> Score:
    groups = [rows[answer.codes == code] for code in range(answer.num_classes)]
    means = np.array([group.mean(axis=0) for group in groups])
    variances = np.array([group.var(axis=0) for group in groups])
    if covariance == "spherical":
        variances[:] = variances.mean(axis=1, keepdims=True)
    variances = np.maximum(variances, _SMALLEST_VARIANCE)
    logs = np.log(variances)
    total = 0.0
    for one, other in combinations(range(answer.num_classes), 2):
        both = (variances[one] + variances[other]) / 2
        apart = ((means[one] - means[other]) ** 2 / both).sum() / 8
        wider = (np.log(both) - (logs[one] + logs[other]) / 2).sum() / 2
        total += float(np.exp(-(apart + wider)))
    singles = int((answer.counts == 1).sum())
    if not singles:
        return Score(-2 * total)
    of = f"{singles} of {answer.num_classes} classes"
    return Score(-2 * total, f"{of} with one sample, which has no variance")
