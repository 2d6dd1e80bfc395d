"""Which names have the best number, where rounding alone may set numbers apart."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torchcross.statistics.signed_ranks import ROUNDING


def names_of_best(
    means: Mapping[str, float], *, lower_is_better: bool, size: float = 0.0
) -> tuple[str, ...]:
    """The names with the best mean: several where rounding alone sets them apart; none of NaN only.

    `size` is that of the numbers behind the means, where means of large numbers are near 0.
    """
    known = {name: mean for name, mean in means.items() if math.isfinite(mean)}
    if not known:
        return ()
    rounding = ROUNDING * max(size, *map(abs, known.values()))
    best = (min if lower_is_better else max)(known.values())
    return tuple(name for name, mean in known.items() if abs(mean - best) <= rounding)
