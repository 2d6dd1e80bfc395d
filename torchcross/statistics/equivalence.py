"""Practical equivalence across targets: Bayesian signed ranks with a margin.

The test is that of Benavoli, Corani, Demšar and Zaffalon (2017), "Time for a change". A p value
that is not small does not say that two algorithms are equal; this says how likely it is that their
difference is too small to matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross._kit.arrays import read_only
from torchcross._kit.randomness import Stream
from torchcross.errors import InputError
from torchcross.statistics.intervals import as_values

Floats = NDArray[np.float64]
SAMPLES: Final = 50_000
"""Samples of the posterior: the standard error of a probability is at most .0023."""

BELOW, WITHIN, ABOVE = range(3)
_ROUNDING: Final = 1e-12


@final
@dataclass(frozen=True, slots=True)
class Equivalence:
    """Three probabilities that add to 1, from differences on `n` targets.

    `below`, `within` and `above`: how likely it is that differences below -margin, within ±margin,
    or above margin are the most frequent of the three. They are NaN without any difference.
    """

    below: float
    within: float
    above: float
    margin: float
    n: int

    def __str__(self) -> str:
        if not self.n:
            return "no difference is defined"
        return (
            f"P(below -{self.margin:g}) {self.below:.3f}, P(within) {self.within:.3f}, P(above"
            f" {self.margin:g}) {self.above:.3f}"
        )


def equivalence(
    differences: ArrayLike, margin: float, *, seed: int = 0, samples: int = SAMPLES
) -> Equivalence:
    """Bayesian signed ranks of one difference per target; NaN values are left out.

    Within ±`margin` (the region of practical equivalence, "ROPE") a difference does not matter. The
    posterior of the distribution of differences is a Dirichlet process: the targets have weights
    from Dirichlet(1/2, 1, ..., 1), the first of which belongs to a difference of 0 that stands for
    what was known before. A sample of the weights gives each region the sum of w_i w_j over the
    pairs (i, j), also i = j, whose mean difference lies in it; a mean at ±margin counts half. The
    probabilities say in which share of the samples each region has the largest sum. Equal seeds
    give equal numbers.

    >>> from torchcross.statistics import equivalence
    >>> equivalence([0.01, -0.02, 0.005, 0.0, -0.01, 0.015], margin=0.03, samples=1000)
    Equivalence(below=0.0, within=1.0, above=0.0, margin=0.03, n=6)
    """
    check_margin(margin)
    if samples < 1:
        raise InputError(f"samples={samples}; give one or more")
    values = as_values(differences, "differences")
    values = values[~np.isnan(values)]
    if not len(values):
        return Equivalence(math.nan, math.nan, math.nan, margin, 0)
    with_prior = np.concatenate([[0.0], values])
    sums = np.add.outer(with_prior, with_prior)
    weights = _weights(len(values), seed, samples)
    above = _quadratic(weights, _share_above(sums, 2 * margin))
    below = _quadratic(weights, _share_above(-sums, 2 * margin))
    within = weights.sum(axis=1) ** 2 - above - below
    regions = np.stack([below, within, above], axis=1)
    is_largest = regions == regions.max(axis=1, keepdims=True)
    shares = is_largest / is_largest.sum(axis=1, keepdims=True)
    probabilities = shares.mean(axis=0).tolist()
    return Equivalence(
        probabilities[BELOW], probabilities[WITHIN], probabilities[ABOVE], margin, len(values)
    )


def check_margin(margin: float) -> None:
    if not (margin > 0 and math.isfinite(margin)):
        raise InputError(
            f"the margin is {margin!r}; give a number above 0 in the unit of the scores, such as"
            " 0.01"
        )


def _share_above(sums: Floats, bound: float) -> Floats:
    """1 where a sum is above the bound, 1/2 where it is equal, up to rounding."""
    excess = sums - bound
    is_equal = np.abs(excess) <= _ROUNDING * max(bound, float(np.abs(sums).max()))
    return np.where(is_equal, 0.5, excess > 0)


def _quadratic(weights: Floats, matrix: Floats) -> Floats:
    """W' M w of each row of weights."""
    products: Floats = ((weights @ matrix) * weights).sum(axis=1)
    return products


@lru_cache(maxsize=2)
def _weights(targets: int, seed: int, samples: int) -> Floats:
    """Weights of Dirichlet(1/2, 1, ..., 1), not divided by their sums, which decide nothing.

    Cached, because the pairs of a table have equally many targets.
    """
    words = Stream(seed, "signed ranks", targets).sequence(0, samples * (targets + 2))
    uniform = ((words >> np.uint64(11)) + 0.5) * 2.0**-53
    uniform = uniform.reshape(samples, targets + 2)
    # Half the square of a normal number is a gamma variable of shape 1/2; -log u one of shape 1.
    gammas = -np.log(uniform[:, 1:])
    gammas[:, 0] *= np.cos(2 * np.pi * uniform[:, 0]) ** 2
    return read_only(gammas)
