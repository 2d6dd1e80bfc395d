"""What a mean hides of single episodes: the worst of them, and how many do not beat chance."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from torchcross.errors import InputError
from torchcross.statistics.intervals import as_values, mean_of

WORST_SHARE: Final = 0.1
_ROUNDING: Final = 1e-9


def worst_mean(
    values: ArrayLike, share: float = WORST_SHARE, *, lower_is_better: bool = False
) -> float:
    """The mean of the worst `share` of the values, their number rounded up; NaN of no value.

    NaN values are left out.

    >>> from torchcross.statistics import worst_mean
    >>> worst_mean([0.9, 0.8, 0.4, 0.7, 0.6], share=0.4)
    0.5
    """
    if not 0 < share <= 1:
        raise InputError(f"share={share!r}; give a number above 0 and at most 1, such as 0.1")
    numbers = as_values(values, "values")
    ordered = np.sort(numbers[~np.isnan(numbers)])
    if not len(ordered):
        return math.nan
    if lower_is_better:
        ordered = ordered[::-1]
    # Without rounding errors 10 % of 30 values are 3 of them, and not 4.
    count = math.ceil(share * len(ordered) - _ROUNDING)
    return mean_of(ordered[:count])


def share_at_chance(values: ArrayLike, chance: float, *, lower_is_better: bool = False) -> float:
    """The share of the values that are at `chance` or worse; NaN of no value.

    NaN values are left out. Values that rounding alone sets apart from chance are at chance.

    >>> from torchcross.statistics import share_at_chance
    >>> share_at_chance([0.45, 0.6, 0.7, 0.5], chance=0.5)
    0.5
    """
    numbers = as_values(values, "values")
    known = numbers[~np.isnan(numbers)]
    if not len(known) or math.isnan(chance):
        return math.nan
    excess = chance - known if lower_is_better else known - chance
    return float(np.mean(excess <= _ROUNDING))
