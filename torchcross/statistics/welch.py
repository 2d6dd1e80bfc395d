"""Two methods with a few runs each that do not come in pairs: Welch's test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from torchcross.errors import InputError
from torchcross.statistics.intervals import as_values, mean_of
from torchcross.statistics.special_functions import t_two_sided


@final
@dataclass(frozen=True, slots=True)
class SummaryOfRuns:
    """What is published of the runs of a method: mean, standard deviation, number of runs."""

    mean: float
    deviation: float
    runs: int

    def __post_init__(self) -> None:
        is_finite = math.isfinite(self.mean) and 0 <= self.deviation < math.inf
        if self.runs < 2 or not is_finite:
            raise InputError(
                f"a mean of {self.mean} with a standard deviation of {self.deviation} over"
                f" {self.runs} runs cannot be tested; give finite numbers of two runs or more"
            )

    @classmethod
    def of(cls, values: ArrayLike) -> SummaryOfRuns:
        runs = as_values(values, "values")
        if len(runs) < 2:
            raise InputError(f"{len(runs)} runs have no spread to test by; give two or more")
        if runs.min() == runs.max():
            # Their mean is rounded, and would set each of them apart from it.
            return cls(float(runs[0]), 0.0, len(runs))
        return cls(mean_of(runs), float(np.std(runs, ddof=1)), len(runs))


@final
@dataclass(frozen=True, slots=True)
class WelchTest:
    """The difference of two means, its t, its degrees of freedom, and the two-sided p.

    Without any spread t, degrees and p are NaN.
    """

    difference: float
    t: float
    degrees: float
    p: float


def welch_test(first: ArrayLike | SummaryOfRuns, second: ArrayLike | SummaryOfRuns) -> WelchTest:
    """Of the values of runs, or of a published mean and standard deviation.

    A published number after "±" may be a standard error instead: then multiply it by sqrt(runs).

    >>> from torchcross.statistics import welch_test
    >>> round(welch_test([0.71, 0.69, 0.74], [0.61, 0.66, 0.60]).p, 3)
    0.021
    """
    one, other = (
        each if isinstance(each, SummaryOfRuns) else SummaryOfRuns.of(each)
        for each in (first, second)
    )
    difference = one.mean - other.mean
    errors = [each.deviation / math.sqrt(each.runs) for each in (one, other)]
    error = math.hypot(*errors)
    if not error > 0:
        return WelchTest(difference, math.nan, math.nan, math.nan)
    weights = [
        (part / error) ** 4 / (each.runs - 1)
        for part, each in zip(errors, (one, other), strict=True)
    ]
    degrees = 1 / sum(weights)
    t = difference / error
    return WelchTest(difference, t, degrees, t_two_sided(degrees, t))
