"""What a search may choose from: the values of each setting, as a list or as a range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from torchcross._kit.randomness import Words
from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError
from torchcross.experiment.settings.plain import as_plain
from torchcross.experiment.settings.row_settings import RANGE_KEYS, checked_value

_WORD = 2.0**64
_SCALES = ("linear", "log")
_ADVICE = 'give a list of values, or a range such as { from = 1e-4, to = 1e-1, scale = "log" }'


@dataclass(frozen=True)
class Values:
    """One of these."""

    values: tuple[Any, ...]

    @property
    def count(self) -> float:
        return len(self.values)

    def draw(self, words: Words) -> Any:
        return self.values[words.below(len(self.values))]

    def as_table(self) -> Any:
        """As TOML writes it."""
        return as_plain(self.values)


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, which both may come; of four digits, or whole."""

    low: float
    high: float
    is_log: bool = False
    is_whole: bool = False

    @property
    def count(self) -> float:
        return self.high - self.low + 1 if self.is_whole else math.inf

    def draw(self, words: Words) -> float:
        return self.at(words.take() / _WORD)

    def at(self, share: float) -> float:
        """The number at a share of the way, 0 for the lowest; as long on every machine."""
        low, high = self.low, self.high
        if self.is_whole:
            # Each whole number owns the interval of length 1 around it.
            low, high = low - 0.5, high + 0.5
        if self.is_log:
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low + share * (high - low)
        if self.is_whole:
            return int(min(max(round(value), self.low), self.high))
        # The last digits of exp and log differ between machines.
        return min(max(float(f"{value:.4g}"), self.low), self.high)

    def as_table(self) -> Any:
        scale = {"scale": "log"} if self.is_log else {}
        return {"from": self.low, "to": self.high, **scale}


Choice: TypeAlias = Values | Range
Space: TypeAlias = Mapping[str, Choice]
"""By the dotted names of settings."""


def size_of(space: Space) -> float:
    """How many different trials there are; infinite where a range has no whole numbers."""
    return math.prod(choice.count for choice in space.values())


def choice_of(name: str, choices: object, place: str) -> Choice:
    """What a space says of one setting."""
    if isinstance(choices, Mapping):
        return _range_of(name, choices, place)
    if not isinstance(choices, list | tuple):
        raise InputError(f"{place} is {choices!r}; {_ADVICE}")
    if not choices:
        raise InputError(f"{place} is an empty list; {_ADVICE}")
    values = [checked_value(name, value, f"{place}[{at}]") for at, value in enumerate(choices)]
    for value in values:
        if values.count(value) > 1:
            raise InputError(f"{place} names {as_plain(value)!r} twice; leave one out")
    return Values(tuple(values))


def _range_of(name: str, choices: Mapping[str, Any], place: str) -> Choice:
    for key in choices:
        if key not in RANGE_KEYS:
            raise InputError(f"{place}: {unknown_name('part of a range', key, RANGE_KEYS)}")
    for key in ("from", "to"):
        if key not in choices:
            raise InputError(f"{place} is a range without {key!r}; {_ADVICE}")
    low, high = (checked_value(name, choices[key], f"{place}.{key}") for key in ("from", "to"))
    if isinstance(low, bool) or not isinstance(low, int | float):
        raise InputError(f"{place} is a range, and {name} is no number; give a list of values")
    scale = choices.get("scale", "linear")
    if scale not in _SCALES:
        raise InputError(f"{place}.scale is {scale!r}; give one of {', '.join(_SCALES)}")
    if not low < high:
        raise InputError(
            f"{place} is a range from {low!r} to {high!r}; it ends above its beginning"
        )
    if scale == "log" and low == 0:
        raise InputError(
            f"{place} is a range from 0 on a log scale, which has no 0; begin above it"
        )
    whole = Range(low, high, is_log=scale == "log", is_whole=isinstance(low, int))
    return whole if "points" not in choices else _points_of(whole, choices["points"], place)


def _points_of(whole: Range, points: object, place: str) -> Values:
    """So many values of a range, with both ends."""
    if type(points) is not int or points < 2:
        raise InputError(f"{place}.points is {points!r}; give a whole number from 2")
    low, high = whole.low, whole.high
    inner = [whole.at(number / (points - 1)) for number in range(1, points - 1)]
    values = dict.fromkeys((low, *inner, high))
    if len(values) < points:
        raise InputError(
            f"{place}.points is {points}, and there are {len(values)} such values from {low!r} to"
            f" {high!r}; give fewer points"
        )
    return Values(tuple(values))
