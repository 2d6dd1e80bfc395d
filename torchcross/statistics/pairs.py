"""Two algorithms on the same episodes or targets: paired differences, Wilcoxon's signed ranks,
Holm's correction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross.errors import InputError
from torchcross.statistics.intervals import (
    RESAMPLES,
    Interval,
    as_values,
    check_level,
    mean_interval,
    mean_of,
    noted,
    standard_error,
)
from torchcross.statistics.seeds import spread_of, with_seeds
from torchcross.statistics.special_functions import normal_cdf, t_two_sided

__all__ = [
    "Difference",
    "Wilcoxon",
    "average_ranks",
    "holm",
    "paired_difference",
    "seeded_difference",
    "wilcoxon",
]

Floats = NDArray[np.float64]
_EXACT_UP_TO = 50
_ROUNDING: Final = 1e-12
_SEEDED_TEST: Final = "t over seeds and episodes"


@final
@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of paired differences, its interval, and the two-sided `p` of no difference by
    `test`; NaN: no test.
    """

    interval: Interval
    p: float
    test: str

    @property
    def mean(self) -> float:
        return self.interval.mean

    @property
    def low(self) -> float:
        return self.interval.low

    @property
    def high(self) -> float:
        return self.interval.high

    @property
    def half(self) -> float:
        return self.interval.half

    @property
    def n(self) -> int:
        return self.interval.n

    @property
    def note(self) -> str:
        return self.interval.note


@final
@dataclass(frozen=True, slots=True)
class Wilcoxon:
    """Wilcoxon's signed-rank test of n differences that are not zero.

    W is the smaller of the two rank sums; `method` says where the two-sided p is from. `untied` is
    what p would be were there no ties, as tables and much software have it; the two are equal where
    there are none.
    """

    W: float
    p: float
    n: int
    zeros: int
    method: str
    untied: float


def paired_difference(
    x: ArrayLike,
    y: ArrayLike,
    *,
    method: str = "t",
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Difference:
    """The mean of x - y over pairs: d ± t s_d / sqrt(n), or another interval of `mean_interval`,
    and the paired t test.

    Pairs with a NaN are left out and counted. Where all n differences are the same, there is no
    spread to test by: no difference at all has p = 1, an equal one 2^(1-n), of the exact test that
    flips signs. One pair has no p.
    """
    differences, given = _differences(x, y)
    found = mean_interval(differences, method=method, level=level, seed=seed, resamples=resamples)
    found = replace(found, note="")
    if found.n > 1 and found.low == found.high:
        found = replace(found, note=f"all {found.n} differences are equal")
    elif found.n < 2:
        found = replace(found, note="one pair has no interval" if found.n else "no pair is defined")
    p, test = _t_test(differences[~np.isnan(differences)])
    return Difference(noted(found, given), p, test)


def seeded_difference(
    rows: Sequence[ArrayLike], *, shared_episodes: bool = True, level: float = 0.95
) -> Difference:
    """The same over several training seeds, one row of differences each; with `shared_episodes`
    place i of each row is the same episode.

    Half the interval, squared, is the sum of those of two t intervals: over the means of the seeds,
    and over the means of the episodes. p is of the level at which it ends at 0. With few seeds that
    differ little can be told, however many the episodes: one row has the paired t test, and its
    note says that training was not measured.
    """
    check_level(level)
    groups = [as_values(row, "a row of differences") for row in rows]
    given = sum(map(len, groups))
    found = seeded_pairs(groups, shared_episodes, level)
    return replace(found, interval=noted(replace(found.interval, undefined=given - found.n), given))


def seeded_pairs(rows: Sequence[Floats], shared: bool, level: float) -> Difference:
    """The same where NaN means that there is no pair, and nothing that is to be counted."""
    groups = [row[~np.isnan(row)] for row in rows if not np.isnan(row).all()]
    defined = np.sort(np.concatenate(groups)) if groups else np.empty(0)
    spread = (
        spread_of([row for row in rows if not np.isnan(row).all()], shared)
        if len(groups) > 1
        else None
    )
    if spread is None or defined[0] == defined[-1]:
        found = paired_difference(defined, np.zeros(len(defined)), level=level)
        # Training seeds that all agree are no more evidence than one of them.
        p, test = _t_test(max(groups, key=len, default=defined))
        return Difference(with_seeds(found.interval, max(1, len(groups))), p, test)
    mean, half = mean_of(defined), spread.half(level)
    interval = Interval(mean, mean - half, mean + half, len(defined), _SEEDED_TEST, level)
    return Difference(with_seeds(interval, len(groups)), spread.p_of(mean), _SEEDED_TEST)


def wilcoxon(differences: ArrayLike) -> Wilcoxon:
    """Wilcoxon's signed-rank test, two-sided. Zeros and NaN are left out; equal sizes share their
    average rank.

    Up to 50 differences p is exact, given the ranks, ties or not; beyond it is of the normal
    distribution with the variance corrected for ties. No difference but zeros: p = 1; nothing at
    all: NaN.
    """
    values = as_values(differences, "differences")
    values = values[~np.isnan(values)]
    kept = values[values != 0]
    zeros = len(values) - len(kept)
    if not len(kept):
        p = 1.0 if zeros else math.nan
        return Wilcoxon(0.0 if zeros else math.nan, p, 0, zeros, "exact", p)
    ranks = average_ranks(np.abs(kept))
    positive, negative = float(ranks[kept > 0].sum()), float(ranks[kept < 0].sum())
    W = min(positive, negative)
    exact = len(kept) <= _EXACT_UP_TO
    p_of = _exact_p if exact else _normal_p
    plain = np.arange(1.0, len(kept) + 1)
    return Wilcoxon(
        W, p_of(ranks, W), len(kept), zeros, "exact" if exact else "normal", p_of(plain, W)
    )


def holm(p: ArrayLike) -> Floats:
    """Holm's (1979) adjusted p values: the i-th smallest times (m - i + 1), made monotone, at most
    1.

    A NaN, of a test that could not be made, stays NaN and still counts in m, which errs on the safe
    side.
    """
    values = as_values(p, "p values")
    if ((values < 0) | (values > 1)).any():
        raise InputError(
            f"p values lie in [0, 1]; holm got {values[(values < 0) | (values > 1)][0]}"
        )
    adjusted = np.full(len(values), np.nan)
    order = np.argsort(values, kind="stable")[: np.count_nonzero(~np.isnan(values))]
    factors = len(values) - np.arange(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * factors))
    return adjusted


def average_ranks(values: Floats) -> Floats:
    """Ranks from 1, the smallest first; values that differ by rounding alone share the mean of
    their ranks.
    """
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    new = np.ones(len(values), dtype=np.bool_)
    new[1:] = np.diff(ascending) > _ROUNDING * max(1e-300, float(np.abs(values).max(initial=0.0)))
    group = np.cumsum(new) - 1
    sizes = np.bincount(group)
    last = np.cumsum(sizes)
    ranks = np.empty(len(values))
    ranks[order] = (last - (sizes - 1) / 2)[group]
    return ranks


def _differences(x: ArrayLike, y: ArrayLike) -> tuple[Floats, int]:
    """The differences, with what rounding made different made the same: .3 - .2 is .4 - .3."""
    first, second = as_values(x, "x"), as_values(y, "y")
    if len(first) != len(second):
        raise InputError(f"x has {len(first)} values and y {len(second)}; give pairs")
    return settled(first - second, first, second), len(first)


def settled(differences: Floats, first: Floats, second: Floats) -> Floats:
    """Differences that rounding alone sets apart from 0, or all from one another, are 0, or one
    number.
    """
    sizes = np.concatenate([first, second])
    rounding = (
        4 * np.finfo(np.float64).eps * float(np.abs(sizes[~np.isnan(sizes)]).max(initial=0.0))
    )
    differences = np.where(np.abs(differences) <= rounding, 0.0, differences)
    defined = differences[~np.isnan(differences)]
    if len(defined) and defined.max() - defined.min() <= rounding:
        return np.where(np.isnan(differences), np.nan, defined[0])
    return differences


def _t_test(values: Floats) -> tuple[float, str]:
    n = len(values)
    if n < 2:
        return math.nan, "paired t"
    if values.min() == values.max():
        return (1.0, "no difference") if values[0] == 0 else (2.0 ** (1 - n), "sign flips")
    ordered = np.sort(values)
    return t_two_sided(n - 1, mean_of(ordered) / standard_error(ordered)), "paired t"


def _exact_p(ranks: Floats, W: float) -> float:
    """2 P(sum of a random half of the ranks <= W), counted over all 2^n signs; doubled ranks are
    whole numbers.
    """
    doubled = np.rint(2 * ranks).astype(np.int64).tolist()
    ways = [0] * (sum(doubled) + 1)
    ways[0] = 1
    for rank in doubled:
        for total in range(len(ways) - 1, rank - 1, -1):
            ways[total] += ways[total - rank]
    below = sum(ways[: round(2 * W) + 1])
    return float(min(1.0, 2 * below / 2 ** len(doubled)))


def _normal_p(ranks: Floats, W: float) -> float:
    """From z = (W - n(n+1)/4) / sqrt(sum of squared ranks / 4); average ranks bring their
    correction for ties along.
    """
    n = len(ranks)
    z = (W - n * (n + 1) / 4) / math.sqrt(float((ranks**2).sum()) / 4)
    return min(1.0, 2 * float(normal_cdf(-abs(z))))
