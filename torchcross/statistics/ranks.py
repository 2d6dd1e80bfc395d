"""Ranks of algorithms over targets: Friedman's test, and Nemenyi's critical difference."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from torchcross.statistics.signed_ranks import average_ranks
from torchcross.statistics.special_functions import chi2_tail, f_tail, nemenyi_q

Floats = NDArray[np.float64]


@final
@dataclass(frozen=True, slots=True)
class Friedman:
    """Friedman's chi2 and p, and Iman and Davenport's F and p, of `n` targets.

    `tied`: with the correction for ties.
    """

    chi2: float
    p: float
    F: float
    F_p: float
    n: int
    tied: bool


def ranks_of(values: Floats, *, lower_is_better: bool) -> Floats:
    """The ranks within each row, 1 for the best; ties share the mean of their ranks."""
    signed = values if lower_is_better else -values
    return np.array([average_ranks(row) for row in signed]).reshape(values.shape)


def friedman(ranks: Floats, *, tied: bool = True) -> Friedman:
    """chi2 = 12 N / (k (k+1)) [sum R_j^2 - k (k+1)^2 / 4], R_j being mean ranks.

    `tied` divides it by 1 - sum(t^3 - t) / (N (k^3 - k)) over groups of t tied ranks.
    F = (N-1) chi2 / (N (k-1) - chi2) with k-1 and (k-1)(N-1) degrees of freedom. Ties everywhere:
    chi2 = 0, p = 1. Rows that are all the same: F is infinite, and its p the exact one, m^(1-N)
    for m orders of such a row.

    >>> from torchcross.statistics import friedman
    >>> ranks = np.array([[1.0, 2.0, 3.0], [1.0, 3.0, 2.0], [1.0, 2.0, 3.0], [2.0, 1.0, 3.0]])
    >>> round(friedman(ranks).p, 3)
    0.105
    """
    n, k = ranks.shape
    if n < 2:
        return Friedman(math.nan, math.nan, math.nan, math.nan, n, tied)
    tie_sizes = [np.unique(row, return_counts=True)[1].tolist() for row in ranks]
    share = 1 - sum(t**3 - t for sizes in tie_sizes for t in sizes) / (n * (k**3 - k))
    if share == 0:
        return Friedman(0.0, 1.0, 0.0, 1.0, n, tied)
    # Deviations from (k+1)/2 give the same sum as the formula, without its cancellation.
    deviations = ranks.mean(axis=0) - (k + 1) / 2
    chi2 = 12 * n / (k * (k + 1)) * float((deviations**2).sum())
    if tied:
        chi2 /= share
    if (ranks == ranks[0]).all() and (tied or share == 1):
        orders = math.factorial(k) // math.prod(math.factorial(t) for t in tie_sizes[0])
        return Friedman(chi2, chi2_tail(k - 1, chi2), math.inf, float(orders) ** (1 - n), n, tied)
    F = (n - 1) * chi2 / (n * (k - 1) - chi2)
    return Friedman(chi2, chi2_tail(k - 1, chi2), F, f_tail(k - 1, (k - 1) * (n - 1), F), n, tied)


def critical_difference(k: int, n: int, level: float = 0.95) -> float:
    """Nemenyi's: mean ranks that are q sqrt(k (k+1) / (6 N)) apart are different (Demšar 2006).

    >>> from torchcross.statistics import critical_difference
    >>> round(critical_difference(5, 10), 3)
    1.929
    """
    return nemenyi_q(k, level) * math.sqrt(k * (k + 1) / (6 * n)) if n else math.nan


def groups_within(mean_ranks: Floats, distance: float) -> tuple[tuple[int, ...], ...]:
    """The largest sets of two or more algorithms whose mean ranks lie less than `distance` apart.

    They are the bars of the critical-difference diagram.
    """
    order = np.argsort(mean_ranks, kind="stable").tolist()
    groups: list[tuple[int, ...]] = []
    for start, best in enumerate(order):
        group = tuple(i for i in order[start:] if mean_ranks[i] - mean_ranks[best] < distance)
        if len(group) > 1 and not (groups and set(group) <= set(groups[-1])):
            groups.append(group)
    return tuple(groups)
