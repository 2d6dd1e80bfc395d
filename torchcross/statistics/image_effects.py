"""The law of a mean over episodes that share images: a mixed model of scores.

The score of an episode is a mean, plus an effect of each image that it drew, plus a rest of its
own. Let s^2 be the variance of one score over everything, images too, and h the share of it that
effects of images make. Then the scores of two episodes have the covariance h s^2 shared(e, f), with
shared(e, e) = 1 on average, and the mean of E scores has the variance

    s^2 (h mean(shared) + (1 - h) / E).

Given h, the restricted likelihood gives s^2, and the mean has Student's t distribution about its
expectation. The data says little about h, so h is averaged over its posterior.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from torchcross.statistics.overlap import Overlap
from torchcross.statistics.special_functions import t_tails

Floats = NDArray[np.float64]
_POINTS = 128
_LARGEST_SHARE = 0.97


@final
@dataclass(frozen=True, eq=False, slots=True)
class ImageLaw:
    """The distribution of a mean about its expectation over images: a mixture of Student's t.

    Each has its `weights`, its standard `errors`, and `degrees` of freedom.
    """

    weights: Floats
    errors: Floats
    degrees: int

    def p_of(self, mean: float) -> float:
        """The two-sided p of the expectation 0."""
        return min(1.0, float(self.weights @ t_tails(self.degrees, mean / self.errors)))

    def half(self, level: float) -> float:
        """The half-width of the interval: p_of(half) = 1 - level."""
        low, high = 0.0, float(self.errors.max())
        while self.p_of(high) > 1 - level:
            low, high = high, 2 * high
        while high - low > 1e-13 * high:
            middle = (low + high) / 2
            low, high = (middle, high) if self.p_of(middle) > 1 - level else (low, middle)
        return high


def image_law(values: Floats, overlap: Overlap) -> ImageLaw:
    """The law of the mean of `values`, one for each episode of the overlap, in its order."""
    exponent = int(np.frexp(np.abs(values).max())[1])
    sample = np.ldexp(values[overlap.sample], -exponent)
    squares = (overlap.directions @ (sample - sample.mean())) ** 2
    shares = (np.arange(_POINTS) + 0.5) / _POINTS * _LARGEST_SHARE
    variances = shares[:, None] * overlap.eigenvalues + (1 - shares[:, None])
    degrees = len(sample) - 1
    quadratic = (squares / variances).sum(axis=1)
    log_likelihood = -0.5 * (np.log(variances).sum(axis=1) + degrees * np.log(quadratic))
    weights = np.exp(log_likelihood - log_likelihood.max())
    factors = shares * overlap.shared + (1 - shares) / len(values)
    errors = np.ldexp(np.sqrt(quadratic / degrees * factors), exponent)
    return ImageLaw(weights / weights.sum(), errors, degrees)
