"""Intervals of the mean of a sample: Student's t, normal, BCa bootstrap, and over images."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross.errors import InputError
from torchcross.statistics.bounds import Bounds, check_bounds, within_bounds
from torchcross.statistics.draws import Draws
from torchcross.statistics.image_effects import ImageLaw
from torchcross.statistics.image_level import IMAGES, law_or_reason
from torchcross.statistics.resampling import resampled_means
from torchcross.statistics.special_functions import normal_cdf, normal_quantile, t_quantile

Floats = NDArray[np.float64]
RESAMPLES: Final = 9999
ONE_VALUE: Final = "one value has no interval"
AT_END: Final = "no interval can be estimated"
"""How the note begins where all values are an end of their scale."""
_FEWEST_RESAMPLES = 99


@final
@dataclass(frozen=True, slots=True)
class Interval:
    """A mean of `n` values and where it may lie.

    `low` and `high` are NaN where there is no interval: of one value, or none. `undefined` values
    (NaN) were left out. `note` says what is special. `over` is "images" where the interval is about
    the mean over all images like these, and "episodes" where it is about the mean over all episodes
    of these images. The former has the latter in `these_images`, where the two differ.
    """

    mean: float
    low: float
    high: float
    n: int
    method: str
    level: float = 0.95
    undefined: int = 0
    note: str = ""
    over: str = "episodes"
    these_images: Interval | None = None

    @property
    def half(self) -> float:
        """Half its width: the number after ±."""
        return (self.high - self.low) / 2

    def __str__(self) -> str:
        if math.isnan(self.mean):
            return "undefined"
        # z: what rounds to zero has no sign.
        mean = f"{self.mean:z.3f}"
        return mean if math.isnan(self.half) else f"{mean} ± {self.half:.3f}"


def mean_interval(
    values: ArrayLike,
    *,
    method: str = "t",
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
    draws: Draws | None = None,
    episodes: ArrayLike | None = None,
    bounds: Bounds | None = None,
) -> Interval:
    """The mean and its interval.

    The methods are mean ± t s / sqrt(n) ("t"), mean ± z s / sqrt(n) ("normal") and "bca" (Efron
    1987). NaN values are left out and counted. One value has no interval; equal values have one of
    width 0, and none where they are all one of the `bounds`: at the end of a scale values show no
    spread, however much other ones would have. The order of the values does not matter, not even to
    the last bit.

    With `draws` the interval is over images: values are scores of the `episodes` of these numbers
    (by default of all episodes of the draws, ascending). Where episodes share no image, both
    intervals are the same. Where images cannot be told from episodes, the note says why. `bounds`
    are the least and the largest value of the metric, such as (0, 1): the interval stays within.

    >>> from torchcross.statistics import mean_interval
    >>> interval = mean_interval([0.81, 0.77, 0.85, 0.79, 0.83])
    >>> print(interval)
    0.810 ± 0.039
    >>> interval.n, round(interval.half, 3)
    (5, 0.039)
    """
    check_level(level)
    check_method(method)
    numbers = as_values(values, "values")
    check_bounds(bounds, numbers)
    law = law_or_reason(numbers, draws, episodes)
    defined = np.sort(numbers[~np.isnan(numbers)])
    interval = without_spread(defined, method, level)
    if interval is None:
        check_resamples(resamples)
        exponent = binary_exponent(defined)
        scaled = np.ldexp(defined, -exponent)
        mean_and_ends = (mean_of(scaled), *METHODS[method](scaled, level, seed, resamples))
        mean, low, high = np.ldexp(mean_and_ends, exponent).tolist()
        interval = Interval(mean, low, high, len(defined), method, level)
    if method != "bca":
        interval = in_bounds(interval, bounds)
    interval = over_images(no_interval_at_end(interval, bounds), law, bounds)
    return with_undefined(interval, len(numbers))


def over_images(interval: Interval, law: ImageLaw | str | None, bounds: Bounds | None) -> Interval:
    """The interval over images, with the one over episodes of these images beside it."""
    if law is None or not interval.low < interval.high:
        return interval
    if isinstance(law, str):
        if not law:
            return replace(interval, over=IMAGES)
        return replace(interval, note=join_notes(interval.note, f"no interval over images: {law}"))
    half = law.half(interval.level)
    wide = replace(
        interval,
        low=interval.mean - half,
        high=interval.mean + half,
        method="subject effects" if law.by_subject else "image effects",
        over=IMAGES,
        these_images=interval,
        note=join_notes(interval.note, law.note),
    )
    return in_bounds(wide, bounds)


def in_bounds(interval: Interval, bounds: Bounds | None) -> Interval:
    """The interval on the logit scale between the bounds."""
    if bounds is None:
        return interval
    mean = interval.mean
    low, _ = within_bounds(mean, mean - interval.low, bounds)
    _, high = within_bounds(mean, interval.high - mean, bounds)
    return no_interval_at_end(replace(interval, low=low, high=high), bounds)


def kept_in_bounds(interval: Interval, bounds: Bounds | None) -> Interval:
    """The interval, on the logit scale where it would leave the bounds."""
    if bounds is None or (interval.low >= bounds[0] and interval.high <= bounds[1]):
        return no_interval_at_end(interval, bounds)
    return in_bounds(interval, bounds)


def no_interval_at_end(interval: Interval, bounds: Bounds | None) -> Interval:
    """The interval; none where all values are one of the bounds, with the reason.

    Values in the middle of a scale that are all equal hardly vary. At its end they look the same
    whether they vary or not: what is worse has not been seen yet.
    """
    if bounds is None or interval.low != interval.high or interval.mean not in bounds:
        return interval
    reason = f"{AT_END}: all {interval.n} values are {interval.mean:g}, an end of the scale"
    notes = [note for note in interval.note.split("; ") if note != _equal_note(interval.n)]
    return replace(interval, low=math.nan, high=math.nan, note=join_notes(*notes, reason))


def with_undefined(interval: Interval, values: int) -> Interval:
    """The interval, with a note of how many of the `values` were undefined."""
    undefined = values - interval.n
    if not undefined:
        return interval
    note = join_notes(f"{undefined} of {values} values undefined, left out", interval.note)
    return replace(interval, undefined=undefined, note=note)


def without_spread(values: Floats, method: str, level: float) -> Interval | None:
    """The interval where nothing varies: of no value, one, or equal ones."""
    n = len(values)
    if not n:
        return Interval(math.nan, math.nan, math.nan, 0, method, level, note="no value is defined")
    mean = float(values[0])
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1, method, level, note=ONE_VALUE)
    if values.min() == values.max():
        return Interval(mean, mean, mean, n, method, level, note=_equal_note(n))
    return None


def _equal_note(n: int) -> str:
    return f"all {n} values are equal"


# -- methods ---------------------------------------------------------------------------------------


def _t(values: Floats, level: float, seed: int, resamples: int) -> tuple[float, float]:
    half = t_quantile(len(values) - 1, (1 + level) / 2) * standard_error(values)
    return mean_of(values) - half, mean_of(values) + half


def _normal(values: Floats, level: float, seed: int, resamples: int) -> tuple[float, float]:
    half = float(normal_quantile((1 + level) / 2)) * standard_error(values)
    return mean_of(values) - half, mean_of(values) + half


def _bca(values: Floats, level: float, seed: int, resamples: int) -> tuple[float, float]:
    """The quantiles Phi(z0 + (z0 + z) / (1 - a (z0 + z))) of the bootstrap means.

    z0 is their median bias, where means equal to the sample's count by half. The jackknife's a is
    sum d^3 / (6 (sum d^2)^1.5) for a mean, d being deviations from the mean.
    """
    means = resampled_means(values, seed, resamples)
    centre = mean_of(values)
    rounding = 1e-13 * float(np.abs(values).max())
    below = np.count_nonzero(means < centre - rounding)
    not_above = np.count_nonzero(means <= centre + rounding)
    bias = float(normal_quantile((below + not_above) / (2 * len(means))))
    deviations = values - centre
    acceleration = float((deviations**3).sum() / (6 * (deviations**2).sum() ** 1.5))
    shifted = bias + normal_quantile(np.array([(1 - level) / 2, (1 + level) / 2]))
    low, high = np.quantile(means, normal_cdf(bias + shifted / (1 - acceleration * shifted)))
    return float(low), float(high)


METHODS: Final[dict[str, Callable[[Floats, float, int, int], tuple[float, float]]]] = {
    "t": _t,
    "normal": _normal,
    "bca": _bca,
}


# -- shared ----------------------------------------------------------------------------------------


def mean_of(values: Floats) -> float:
    """The correctly rounded mean: no order of the values gives another."""
    return math.fsum(values.tolist()) / len(values)


def binary_exponent(values: Floats) -> int:
    """The e for which all finite values lie within ±2^e.

    Values over 2^e have the same digits, and squares and cubes that neither underflow nor overflow.
    """
    return int(np.frexp(np.nanmax(np.abs(values), initial=0.0))[1])


def standard_error(values: Floats) -> float:
    """The standard deviation over n - 1, over sqrt(n)."""
    squares = math.fsum(((values - mean_of(values)) ** 2).tolist())
    return math.sqrt(squares / (len(values) - 1) / len(values))


def join_notes(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def as_values(values: Any, name: str) -> Floats:
    """A row of float64 numbers, finite or NaN."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} are no numbers ({error}); give a row of numbers, NaN where undefined"
        ) from error
    advice = "give a row of finite numbers, NaN where undefined"
    if array.ndim != 1:
        raise InputError(f"{name} have shape {array.shape}; {advice}")
    if infinite := int(np.isinf(array).sum()):
        raise InputError(f"{name} have {infinite} infinite numbers; {advice}")
    return array


def check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"the level is {level!r}; give a number between 0 and 1, such as 0.95")


def check_method(method: str) -> None:
    if method not in METHODS:
        raise InputError(f"there is no method {method!r}; choose from {sorted(METHODS)}")


def check_resamples(resamples: int) -> None:
    if resamples < _FEWEST_RESAMPLES:
        raise InputError(
            f"{resamples} bootstrap samples are too few; give {_FEWEST_RESAMPLES} or more"
        )
