"""Durations as people write them for a scheduler."""

from __future__ import annotations

import math
import re
from typing import Final

from torchcross.errors import InputError

_MINUTES: Final = {"d": 1440.0, "h": 60.0, "min": 1.0, "m": 1.0, "s": 1 / 60}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(d|h|min|m|s)\s*")


def minutes_of(text: str | float) -> int:
    """Whole minutes, rounded up, of "4h", "1h 30min", "2d" or a number of minutes."""
    minutes = 0.0
    if isinstance(text, str):
        rest = text.strip()
        while match := _PART.match(rest):
            minutes += float(match[1]) * _MINUTES[match[2]]
            rest = rest[match.end() :]
        if rest:
            minutes = 0.0
    elif not isinstance(text, bool) and math.isfinite(text):
        minutes = text
    if minutes <= 0:
        raise InputError(
            f"{text!r} is no duration; write '4h', '1h 30min', '2d', or a number of minutes"
        )
    return math.ceil(minutes)
