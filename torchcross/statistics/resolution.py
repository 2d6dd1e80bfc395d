"""What a test that finds no difference can say: how large one it would find, and what is ruled out.

Both ask for the same difference once more, at another level or moved by a margin. So they hold for
every kind of test, over episodes, images or training seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from torchcross.errors import InputError
from torchcross.statistics.pairs import Difference

POWER: Final = 0.8
"""The probability with which a test finds the smallest detectable difference."""


def detectable_difference(
    difference_at: Callable[[float], Difference], level: float, tests: int
) -> float:
    """The smallest true difference that the test finds with a probability of `POWER`.

    It is the sum of the half-width at the level that Holm's method asks of the smallest p of so
    many tests, and of the quantile of `POWER`: q(1 - a / 2m) + q(.8) standard errors for a = 1 -
    level and m tests. `difference_at` gives the difference with its interval at a level. NaN where
    nothing varies.
    """
    strict = difference_at(1 - (1 - level) / tests)
    # The quantile of POWER, one-sided, is the half-width at the level 2 POWER - 1, two-sided.
    reach = strict.half + difference_at(2 * POWER - 1).half
    return reach if reach > 0 else math.nan


def equivalence_p(
    mean: float, margin: float, difference_from: Callable[[float], Difference]
) -> float:
    """The p of two one-sided tests (TOST, Schuirmann 1987) that the difference is within ±margin.

    It is the larger one of the two, that of the nearer bound. `difference_from` gives the
    difference minus a number.
    """
    bound = math.copysign(margin, mean)
    two_sided = difference_from(bound).p
    return two_sided / 2 if abs(mean) < margin else 1 - two_sided / 2


def check_margin(margin: float | None) -> None:
    if margin is not None and not (margin > 0 and math.isfinite(margin)):
        raise InputError(
            f"the margin of equivalence is {margin!r}; give a number above 0 in the unit of the"
            " scores, such as 0.01, or None"
        )
