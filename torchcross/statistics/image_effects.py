"""The law of a mean over episodes that share images: a mixed model of their scores.

The score of an episode is the mean, plus an effect of every image that it drew, plus a rest of its
own. Let s^2 be the variance of a score over images and episodes, and h the share of it that the
effects of images make. Two scores have the covariance h s^2 K(e, f), where K(e, f) counts the
images of both episodes over those of one, and the mean of E scores has the variance

    s^2 (h mean(K) + (1 - h) / E).

Given h, the restricted likelihood gives s^2, and the mean has Student's t distribution about its
expectation. The scores of a hundred episodes say little about h. So h is averaged over its
posterior, on a grid, and the law of the mean is a mixture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross.statistics.overlap import Overlap
from torchcross.statistics.roots import crossing
from torchcross.statistics.special_functions import t_density, t_quantile, t_tails

Floats = NDArray[np.float64]
_POINTS = 128
_LARGEST_SHARE = 0.97
_NEGLIGIBLE: Final = 1e-14
_NEWTON_STEPS: Final = 200
_SMALLEST_LOG_PART: Final = -700.0


@final
@dataclass(frozen=True, eq=False, slots=True)
class ImageLaw:
    """The distribution of a mean about its expectation over images: a mixture of Student's t.

    Each component has its weight, its standard error, and the same degrees of freedom. Over
    training seeds a second part comes to it: the squared half-widths of both are added, as in
    `Spread`.
    """

    weights: Floats
    errors: Floats
    degrees: int
    by_subject: bool = False
    note: str = ""
    by_seed: float = 0.0
    seeds: int = 0

    def p_of(self, mean: float) -> float:
        """The two-sided p of the expectation 0."""
        return self._tail(self._image_part(abs(mean))) if mean else 1.0

    def half(self, level: float) -> float:
        """The half-width of the interval: p_of(half) = 1 - level."""
        # The tail is convex: from the left Newton's steps reach the half-width from below.
        half = t_quantile(self.degrees, (1 + level) / 2) * float(self.errors.min())
        for _ in range(_NEWTON_STEPS):
            densities = t_density(self.degrees, half / self.errors) / self.errors
            step = (self._tail(half) - (1 - level)) / (2 * float(self.weights @ densities))
            half += step
            if abs(step) <= 1e-14 * half:
                break
        return math.hypot(half, self._seed_part(1 - level))

    def _tail(self, half: float) -> float:
        tails = t_tails(self.degrees, half / self.errors)
        return min(1.0, float(self.weights @ tails))

    def _seed_part(self, p: float) -> float:
        """The half-width by training seeds alone, at the level 1 - p."""
        if not self.by_seed:
            return 0.0
        return math.sqrt(self.by_seed) * -t_quantile(self.seeds, p / 2)

    def _image_part(self, half: float) -> float:
        """The half-width by images alone where both parts together have this half-width."""
        if not self.by_seed:
            return half

        def excess(log_part: float) -> float:
            part = half * math.exp(log_part)
            return math.hypot(part, self._seed_part(self._tail(part))) - half

        return half * math.exp(crossing(excess, _SMALLEST_LOG_PART, 0.0, 1e-13))


def image_law(values: Floats, overlap: Overlap, prior: float = 1.0) -> ImageLaw:
    """The law of the mean of `values`, one for each episode of the overlap, in its order.

    `prior` is the exponent a of the prior h^(a - 1). By default all shares are alike.
    """
    exponent = int(np.frexp(np.abs(values).max())[1])
    scaled = np.ldexp(values[overlap.sample], -exponent)
    scaled = scaled - scaled.mean()
    squares = (overlap.directions @ scaled) ** 2
    degrees = len(scaled) - 1
    # Directions in which episodes share nothing have the eigenvalue 0.
    others, rest = degrees - len(squares), max(0.0, float(scaled @ scaled - squares.sum()))
    # The points are the middles of equal parts of the prior.
    shares = ((np.arange(_POINTS) + 0.5) / _POINTS) ** (1 / prior) * _LARGEST_SHARE
    variances = shares[:, None] * overlap.eigenvalues + (1 - shares[:, None])
    sums = (squares / variances).sum(axis=1) + rest / (1 - shares)
    logs = np.log(variances).sum(axis=1) + others * np.log1p(-shares) + degrees * np.log(sums)
    weights = np.exp((logs.min() - logs) / 2)
    factors = shares * overlap.shared + (1 - shares) / len(values)
    errors = np.ldexp(np.sqrt(sums / degrees * factors), exponent)
    kept = weights > _NEGLIGIBLE
    total = weights[kept].sum()
    return ImageLaw(weights[kept] / total, errors[kept], degrees, overlap.by_subject, overlap.note)
