"""The value of a metric, with the reason why it is undefined, or the classes it averages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torchcross.errors import InputError
from torchcross.metrics.reasons import MEAN_OF

_NAMES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Score:
    """The value of a metric; NaN, and never 0, where the metric is undefined.

    ``reason`` says why the value is undefined, or what an average left out. It is empty for a value
    that needs no remark. ``over`` names the classes averaged over, and is None where nothing is
    averaged. Two undefined scores with the same reason are equal.
    """

    value: float
    reason: str = ""
    over: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if math.isnan(self.value) and not self.reason:
            raise InputError(
                "a Score of NaN was given without a reason; say why the metric is undefined"
            )

    @property
    def is_defined(self) -> bool:
        """Whether there is a value."""
        return not math.isnan(self.value)

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        shown = str(round(self.value, 3) + 0.0)
        return f"{shown} ({self.reason})" if self.reason else shown

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Score) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[float | None, str, tuple[str, ...] | None]:
        return (self.value if self.is_defined else None, self.reason, self.over)


def undefined_score(reason: str, over: tuple[str, ...] | None = None) -> Score:
    """The score of a metric that has no value here."""
    return Score(math.nan, reason, over)


def average_score(
    values: Sequence[float | None], classes: Sequence[str], noun: str, if_none: str
) -> Score:
    """The mean of the values that are defined. Its reason names the classes without a value."""
    pairs = list(zip(classes, values, strict=True))
    defined = [value for value in values if value is not None]
    over = tuple(name for name, value in pairs if value is not None)
    if not defined:
        return undefined_score(if_none, over)
    missing = [name for name, value in pairs if value is None]
    reason = ""
    if missing:
        reason = (
            f"{MEAN_OF} {len(over)} of {len(values)} {noun}; undefined for {name_list(missing)}"
        )
    # An exact sum: the mean must not depend on the order of the classes.
    return Score(math.fsum(defined) / len(defined), reason, over)


def name_list(names: Sequence[str]) -> str:
    """The names in quotes, at most five of them."""
    shown = ", ".join(repr(name) for name in names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
