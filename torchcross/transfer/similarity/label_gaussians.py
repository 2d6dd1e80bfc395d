"""Classes as Gaussians of their features, and Wasserstein's distance between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Covariance: TypeAlias = Literal["full", "diagonal"]
COVARIANCES: tuple[Covariance, ...] = ("full", "diagonal")


def label_distances(
    groups: Sequence[Floats], others: Sequence[Floats], covariance: Covariance
) -> Floats:
    """The squared 2-Wasserstein distances (K, K') of Gaussians with the moments of the groups.

    |m - m'|^2 + tr(S + S' - 2 (S^1/2 S' S^1/2)^1/2). With S = F'F and S' = G'G, the trace of the
    root is the sum of the singular values of FG': no root of a matrix is needed.
    """
    means, other_means = (
        np.array([rows.mean(axis=0) for rows in each]) for each in (groups, others)
    )
    factor_of = _factor if covariance == "full" else _deviations
    factors, other_factors = ([factor_of(rows) for rows in each] for each in (groups, others))
    distances = np.empty((len(groups), len(others)))
    for i, factor in enumerate(factors):
        for j, other in enumerate(other_factors):
            if covariance == "full":
                singular = np.linalg.svd(factor @ other.T, compute_uv=False)
                spread = (factor**2).sum() + (other**2).sum() - 2 * singular.sum()
            else:
                spread = ((factor - other) ** 2).sum()
            shift = ((means[i] - other_means[j]) ** 2).sum()
            # Equal Gaussians are apart by rounding alone, which may be negative.
            distances[i, j] = shift + max(spread, 0)
    return distances


def _deviations(rows: Floats) -> Floats:
    deviations: Floats = rows.std(axis=0, ddof=1)
    return deviations


def _factor(rows: Floats) -> Floats:
    """F (at most D, D), with F'F the covariance of the rows."""
    centred: Floats = (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1)
    if len(centred) > centred.shape[1]:
        _, triangle = np.linalg.qr(centred)
        return triangle
    return centred
