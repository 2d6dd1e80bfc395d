"""How long the rest will take, in words."""

from __future__ import annotations

import math

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def time_left(done: int, total: int, seconds: float) -> str:
    """The time that the rest takes if it goes on as it went: `done` units took `seconds`."""
    return duration_text(seconds / done * (total - done))


def duration_text(seconds: float) -> str:
    """A duration to about two digits: "40 s", "12 min", "3.5 h", "2.1 days"."""
    if seconds < 1.5 * _MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < 1.5 * _HOUR:
        return f"{math.ceil(seconds / _MINUTE)} min"
    if seconds < 1.5 * _DAY:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / _DAY:.1f} days"
