"""Two algorithms on the same episodes or targets: paired differences, and Holm's method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross.errors import InputError
from torchcross.statistics.draws import Draws
from torchcross.statistics.image_effects import ImageLaw
from torchcross.statistics.image_level import law_or_reason
from torchcross.statistics.intervals import (
    RESAMPLES,
    Interval,
    as_values,
    binary_exponent,
    check_level,
    mean_interval,
    mean_of,
    over_images,
    standard_error,
    with_undefined,
)
from torchcross.statistics.seeds import check_shared, seeded_law, spread_of, with_seed_note
from torchcross.statistics.special_functions import t_two_sided

Floats = NDArray[np.float64]
_SEEDED_TEST: Final = "t over seeds and episodes"


@final
@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of paired differences, its interval, and the two-sided `p` of no difference.

    `test` names the test. `p` is NaN where there is none. As in `Interval`, `over` is "images" or
    "episodes", and a difference over images has the one over episodes in `these_images`.
    """

    interval: Interval
    p: float
    test: str
    these_images: Difference | None = None

    @property
    def over(self) -> str:
        return self.interval.over

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


def paired_difference(
    x: ArrayLike,
    y: ArrayLike,
    *,
    method: str = "t",
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
    draws: Draws | None = None,
    episodes: ArrayLike | None = None,
) -> Difference:
    """The mean of x - y over pairs, its interval (d ± t s_d / sqrt(n)) and the paired t test.

    `method` may be another one of `mean_interval`. Pairs with a NaN are left out and counted. Where
    all n differences are the same, there is no spread to test by: differences of 0 have p = 1,
    equal ones 2^(1-n), as in the exact test that flips signs. One pair has no p.

    With `draws` interval and test are over images; `draws` and `episodes` are those of
    `mean_interval`.

    >>> from torchcross.statistics import paired_difference
    >>> ours, theirs = [0.81, 0.77, 0.85, 0.79], [0.78, 0.75, 0.80, 0.78]
    >>> difference = paired_difference(ours, theirs)
    >>> round(difference.p, 3)
    0.049
    """
    first, second = as_values(x, "x"), as_values(y, "y")
    if len(first) != len(second):
        raise InputError(f"x has {len(first)} values and y {len(second)}; give pairs")
    differences = without_rounding(first - second, first, second)
    interval = mean_interval(
        differences, method=method, level=level, seed=seed, resamples=resamples
    )
    note = ""
    if not interval.n:
        note = "no pair is defined"
    elif interval.n == 1:
        note = "one pair has no interval"
    elif interval.low == interval.high:
        note = f"all {interval.n} differences are equal"
    interval = replace(interval, note=note)
    law = law_or_reason(differences, draws, episodes)
    difference = Difference(interval, *_t_test(differences[~np.isnan(differences)]))
    return difference_over_images(difference, law, len(differences))


def difference_over_images(
    difference: Difference, law: ImageLaw | str | None, values: int
) -> Difference:
    """The difference over images, with the one over episodes of these images beside it.

    Both have a note of how many of the `values` were undefined.
    """
    narrow = with_undefined(difference.interval, values)
    difference = replace(difference, interval=narrow)
    wide = over_images(narrow, law, None)
    if wide.these_images is None or law is None or isinstance(law, str):
        return replace(difference, interval=wide)
    return Difference(wide, law.p_of(wide.mean), wide.method, difference)


def seeded_difference(
    rows: Sequence[ArrayLike],
    *,
    shared_episodes: bool = True,
    level: float = 0.95,
    draws: Draws | None = None,
    episodes: ArrayLike | None = None,
) -> Difference:
    """The difference over several training seeds, one row of differences each.

    With `shared_episodes` place i of each row is the same episode. The squared half-width of the
    interval is the sum of those of two t intervals: over the means of the seeds, and over the means
    of the episodes. p belongs to the level at which the interval ends at 0. A few seeds that differ
    say little, however many the episodes. One row has the paired t test, and its note says that
    training variance was not measured. `draws` and `episodes` (the number of each place of a row)
    are those of `mean_interval`.

    >>> from torchcross.statistics import seeded_difference
    >>> rows = [[0.03, 0.02, 0.05, 0.04], [0.04, 0.01, 0.06, 0.03], [0.02, 0.02, 0.04, 0.05]]
    >>> round(seeded_difference(rows).interval.mean, 4)
    0.0342
    """
    check_level(level)
    check_shared(shared_episodes, draws)
    groups = [as_values(row, "a row of differences") for row in rows]
    law = seeded_law(groups, draws, episodes)
    difference = seeded_pairs(groups, shared_episodes, level)
    return difference_over_images(difference, law, sum(map(len, groups)))


def seeded_pairs(rows: Sequence[Floats], shared: bool, level: float) -> Difference:
    """The same of checked rows, where NaN is no pair and is not counted as undefined."""
    rows = [row for row in rows if not np.isnan(row).all()]
    groups = [row[~np.isnan(row)] for row in rows]
    defined = np.sort(np.concatenate(groups)) if groups else np.empty(0)
    exponent = binary_exponent(defined)
    spread = spread_of([np.ldexp(row, -exponent) for row in rows], shared)
    if spread is None or not (spread.by_seed or spread.by_episode):
        if spread is not None:
            # What sets the differences apart is rounding.
            groups = [np.full(len(group), defined[0]) for group in groups]
            defined = np.concatenate(groups)
        interval = _from_zero(defined, level).interval
        # Training seeds that all agree are no more evidence than one of them.
        one = _from_zero(max(groups, key=len, default=defined), level)
        return Difference(with_seed_note(interval, max(1, len(groups))), one.p, one.test)
    scaled_mean = mean_of(np.ldexp(defined, -exponent))
    p, half = spread.p_of(scaled_mean), float(np.ldexp(spread.half(level), exponent))
    mean = mean_of(defined)
    interval = Interval(mean, mean - half, mean + half, len(defined), _SEEDED_TEST, level)
    return Difference(with_seed_note(interval, len(groups)), p, _SEEDED_TEST)


def holm(p: ArrayLike) -> Floats:
    """Holm's (1979) adjusted p values: the i-th smallest times (m - i + 1), monotone, at most 1.

    A NaN, of a test that could not be made, stays NaN and still counts in m: that is the safe side.

    >>> from torchcross.statistics import holm
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    values = as_values(p, "p values")
    outside = values[(values < 0) | (values > 1)]
    if len(outside):
        raise InputError(f"holm got {outside[0]}; give p values, which lie in [0, 1]")
    adjusted = np.full(len(values), np.nan)
    order = np.argsort(values, kind="stable")[: np.count_nonzero(~np.isnan(values))]
    factors = len(values) - np.arange(len(order))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * factors))
    return adjusted


def without_rounding(differences: Floats, first: Floats, second: Floats) -> Floats:
    """The differences, equal where rounding alone sets them apart: .3 - .2 is .4 - .3.

    Those that rounding sets apart from 0 are 0. If it sets all apart from one another, they are one
    number.
    """
    sizes = np.abs(np.concatenate([first, second]))
    rounding = 4 * np.finfo(np.float64).eps * float(sizes[~np.isnan(sizes)].max(initial=0.0))
    differences = np.where(np.abs(differences) <= rounding, 0.0, differences)
    defined = differences[~np.isnan(differences)]
    if len(defined) and defined.max() - defined.min() <= rounding:
        return np.where(np.isnan(differences), np.nan, defined[0])
    return differences


def _from_zero(differences: Floats, level: float) -> Difference:
    return paired_difference(differences, np.zeros(len(differences)), level=level)


def _t_test(values: Floats) -> tuple[float, str]:
    n = len(values)
    if n < 2:
        return math.nan, "paired t"
    if values.min() == values.max():
        return (1.0, "no difference") if values[0] == 0 else (2.0 ** (1 - n), "sign flips")
    ordered = np.ldexp(np.sort(values), -binary_exponent(values))
    return t_two_sided(n - 1, mean_of(ordered) / standard_error(ordered)), "paired t"
