"""Distribution functions, by SciPy's special functions."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GRID = np.linspace(-8.5, 8.5, 1701)
"""Where a normal density is above 1e-16; the trapezium rule on it is exact to rounding."""
_DENSITY = np.exp(-(_GRID**2) / 2) / math.sqrt(2 * math.pi) * (_GRID[1] - _GRID[0])


@cache
def _special() -> Any:
    # SciPy is slow to import, and most programs never need it.
    from scipy import special

    return special


def normal_cdf(values: Any) -> NDArray[np.float64]:
    return np.asarray(_special().ndtr(values))


def normal_quantile(probability: Any) -> NDArray[np.float64]:
    return np.asarray(_special().ndtri(probability))


def t_quantile(degrees: float, probability: float) -> float:
    return float(_special().stdtrit(degrees, probability))


def t_two_sided(degrees: float, t: float) -> float:
    """P(|T| >= |t|)."""
    return min(1.0, 2 * float(_special().stdtr(degrees, -abs(t))))


def t_tails(degrees: float, t: Any) -> NDArray[np.float64]:
    """P(|T| >= |t|), for each t."""
    return 2 * np.asarray(_special().stdtr(degrees, -np.abs(t)))


def t_density(degrees: float, t: Any) -> NDArray[np.float64]:
    """The density of Student's t, for each t."""
    constant = _special().gammaln((degrees + 1) / 2) - _special().gammaln(degrees / 2)
    logs = constant - 0.5 * math.log(degrees * math.pi)
    return np.asarray(np.exp(logs - (degrees + 1) / 2 * np.log1p(np.square(t) / degrees)))


def chi2_tail(degrees: float, value: float) -> float:
    return float(_special().chdtrc(degrees, value))


def f_tail(above: float, below: float, value: float) -> float:
    return float(_special().fdtrc(above, below, value))


@cache
def nemenyi_q(k: int, level: float) -> float:
    """The `level` quantile of the range of k standard normal numbers, over sqrt(2).

    Table 5 of Demšar (2006) has it.
    """
    low, high = 0.0, 40.0
    while high - low > 1e-13 * high:
        middle = (low + high) / 2
        if _range_cdf(middle, k) < level:
            low = middle
        else:
            high = middle
    return high / math.sqrt(2)


def _range_cdf(width: float, k: int) -> float:
    """P(range <= w) = k * integral of phi(z) [Phi(z) - Phi(z - w)]^(k-1) dz."""
    within = normal_cdf(_GRID) - normal_cdf(_GRID - width)
    return float(k * (_DENSITY @ within ** (k - 1)))
