"""Ranks with ties, and Wilcoxon's signed-rank test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross.statistics.intervals import as_values
from torchcross.statistics.special_functions import normal_cdf

Floats = NDArray[np.float64]
_EXACT_UP_TO = 50
ROUNDING: Final = 1e-12
"""Numbers that are nearer than this share of the largest one are equal but for rounding."""


@final
@dataclass(frozen=True, slots=True)
class Wilcoxon:
    """Wilcoxon's signed-rank test of n differences that are not zero.

    W is the smaller of the two rank sums. `side` is the sign of the differences with the larger
    sum: 1, -1, or 0 where both are equal. It need not be the sign of the mean difference, which a
    few large differences decide. `method` says how the two-sided p was computed. `untied` is the
    p of tables and much software, which ignore ties; without ties it is the same.
    """

    W: float
    p: float
    n: int
    zeros: int
    method: str
    untied: float
    side: int


def wilcoxon(differences: ArrayLike) -> Wilcoxon:
    """Wilcoxon's signed-rank test, two-sided.

    Zeros and NaN are left out; equal sizes share their average rank. Up to 50 differences p is
    exact for the ranks, with ties too; of more it is from the normal distribution, with the
    variance corrected for ties. Only zeros: p = 1; no difference at all: NaN.

    >>> from torchcross.statistics import wilcoxon
    >>> wilcoxon([0.03, 0.02, 0.05, 0.01, 0.04, 0.06]).p
    0.03125
    """
    values = as_values(differences, "differences")
    values = values[~np.isnan(values)]
    signed = values[values != 0]
    n, zeros = len(signed), len(values) - len(signed)
    if not n:
        W, p = (0.0, 1.0) if zeros else (math.nan, math.nan)
        return Wilcoxon(W, p, 0, zeros, "exact", p, 0)
    ranks = average_ranks(np.abs(signed))
    above, below = float(ranks[signed > 0].sum()), float(ranks[signed < 0].sum())
    W, side = min(above, below), int(np.sign(above - below))
    method, p_of = ("exact", _exact_p) if n <= _EXACT_UP_TO else ("normal", _normal_p)
    untied = p_of(np.arange(1.0, n + 1), W)
    return Wilcoxon(W, p_of(ranks, W), n, zeros, method, untied, side)


def average_ranks(values: Floats) -> Floats:
    """Ranks from 1, the smallest first. Values that rounding alone sets apart share a mean rank."""
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    is_new = np.ones(len(values), dtype=np.bool_)
    rounding = ROUNDING * max(1e-300, float(np.abs(values).max(initial=0.0)))
    is_new[1:] = np.diff(ascending) > rounding
    group = np.cumsum(is_new) - 1
    sizes = np.bincount(group)
    ranks = np.empty(len(values))
    # A group of t ties that ends at rank r has the mean rank r - (t - 1) / 2.
    ranks[order] = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return ranks


def _exact_p(ranks: Floats, W: float) -> float:
    """2 P(the ranks of random signs sum to W or less), counted over all 2^n signs."""
    # Average ranks are halves: doubled they are whole numbers.
    doubled = np.rint(2 * ranks).astype(np.int64).tolist()
    ways = [0] * (sum(doubled) + 1)
    ways[0] = 1
    for rank in doubled:
        for total in range(len(ways) - 1, rank - 1, -1):
            ways[total] += ways[total - rank]
    return float(min(1.0, 2 * sum(ways[: round(2 * W) + 1]) / 2 ** len(doubled)))


def _normal_p(ranks: Floats, W: float) -> float:
    """From z = (W - n(n+1)/4) / sqrt(sum of squared ranks / 4), which corrects for ties."""
    n = len(ranks)
    z = (W - n * (n + 1) / 4) / math.sqrt(float((ranks**2).sum()) / 4)
    return min(1.0, 2 * float(normal_cdf(-abs(z))))
