"""Where a function of one number crosses 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_STEPS: Final = 200


def crossing(function: Callable[[float], float], low: float, high: float, rounding: float) -> float:
    """The x between low and high with function(x) = 0, to within `rounding` of max(1, |x|).

    Where it has one sign at both ends, x is the end at which it is nearer to 0. The method is that
    of Chandrupatla (1997): inverse quadratic interpolation where it is safe, bisection elsewhere.
    """
    a, b = high, low
    at_a, at_b = function(a), function(b)
    if (at_a > 0) == (at_b > 0):
        return a if abs(at_a) < abs(at_b) else b
    best, part = a, 0.5
    for _ in range(_STEPS):
        x = a + part * (b - a)
        at_x = function(x)
        if (at_x > 0) == (at_a > 0):
            c, at_c = a, at_a
        else:
            c, at_c = b, at_b
            b, at_b = a, at_a
        a, at_a = x, at_x
        best, at_best = (a, at_a) if abs(at_a) < abs(at_b) else (b, at_b)
        smallest = rounding * max(1.0, abs(best)) / abs(b - a)
        if smallest > 1 or at_best == 0:
            return best
        part = 0.5
        across, rise = (a - b) / (c - b), (at_a - at_b) / (at_c - at_b)
        if rise**2 < across and (1 - rise) ** 2 < 1 - across:
            part = at_a / (at_b - at_a) * at_c / (at_b - at_c)
            part += (c - a) / (b - a) * at_a / (at_c - at_a) * at_b / (at_c - at_b)
        part = min(max(part, smallest / 2), 1 - smallest / 2)
    return best
