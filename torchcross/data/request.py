"""What a sampler is asked for, validated and normalised before any label is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from torchcross.errors import InputError

__all__ = ["MetaDatasetShots", "Request", "Shots", "Ways"]

Ways = int | tuple[int, int | None] | None


@dataclass(frozen=True)
class MetaDatasetShots:
    """Variable, imbalanced shots in the manner of Meta-Dataset (Triantafillou et al. 2020, appendix A.2).

    For the W chosen classes with n_c samples: the query takes q = min(queries, floor(min n_c / 2)) of each; the support
    holds min(max_support, sum_c ceil(beta * min(max_per_class, n_c - q))) samples with beta uniform in (0, 1], divided
    over the classes in proportion to n_c * exp(alpha_c), alpha_c uniform in [log 1/2, log 2), at least one each.
    Exact integer arithmetic, so every machine draws the same.
    """

    max_support: int = 500
    max_per_class: int = 100

    def __post_init__(self) -> None:
        _settle(self, max_support=positive("max_support", self.max_support))
        _settle(self, max_per_class=positive("max_per_class", self.max_per_class))


Shots = int | tuple[int, int] | MetaDatasetShots


@dataclass(frozen=True)
class Request:
    """Ways, shots and queries of an episode. `ways=None` means all classes, `(2, None)` two or as many as there are."""

    ways: Ways
    shots: Shots
    queries: int
    query: Literal["balanced", "natural"]
    groups: Literal["respect", "ignore"]
    minimal: bool
    min_samples: int | Literal["enough"] | None

    def __post_init__(self) -> None:
        _settle(self, ways=_normal_ways(self.ways), shots=_normal_shots(self.shots))
        _settle(self, queries=positive("queries", self.queries))
        one_of("query", self.query, ("balanced", "natural"))
        one_of("groups", self.groups, ("respect", "ignore"))
        if not isinstance(self.minimal, bool):
            raise InputError(f"minimal={self.minimal!r} is not True or False")
        if self.min_samples not in (None, "enough"):
            _settle(self, min_samples=positive("min_samples", self.min_samples))
        if isinstance(self.shots, MetaDatasetShots) and self.query != "balanced":
            raise InputError("MetaDatasetShots defines its own query per class; use query='balanced' with it")

    @property
    def shot_range(self) -> tuple[int, int]:
        """The fewest and the most shots per class, where one number serves all classes of an episode."""
        if isinstance(self.shots, MetaDatasetShots):
            return 1, 1
        return (self.shots, self.shots) if isinstance(self.shots, int) else self.shots

    def describe(self) -> list[object]:
        """Plain values that name this request: part of every stream's name, and of a plan file."""
        shots = self.shots
        named = (
            ["meta-dataset", shots.max_support, shots.max_per_class] if isinstance(shots, MetaDatasetShots) else shots
        )
        return [self.ways, named, self.queries, self.query, self.groups, self.minimal, self.min_samples]


def positive(name: str, value: object, least: int = 1) -> int:
    """`value` as an int >= least."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name}={value!r} is not an integer of at least {least}")
    return int(value)


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name}={value!r} is not one of {', '.join(map(repr, allowed))}")


def _settle(request: object, **values: object) -> None:
    """Puts plain Python values in place of what was given (numpy integers are no JSON, and not equal as text)."""
    for name, value in values.items():
        object.__setattr__(request, name, value)


def _normal_ways(ways: object) -> Ways:
    if ways is None:
        return None
    if not isinstance(ways, tuple):
        return positive("ways", ways)
    if len(ways) != 2:
        raise InputError(f"ways={ways!r} is not a pair (fewest, most)")
    low = positive("ways[0]", ways[0])
    high = None if ways[1] is None else positive("ways[1]", ways[1])
    if high is not None and high < low:
        raise InputError(f"ways={ways!r}: the most is below the fewest")
    return low, high


def _normal_shots(shots: object) -> Shots:
    if isinstance(shots, MetaDatasetShots):
        return shots
    if not isinstance(shots, tuple):
        return positive("shots", shots)
    if len(shots) != 2:
        raise InputError(f"shots={shots!r} is not a pair (fewest, most)")
    low, high = positive("shots[0]", shots[0]), positive("shots[1]", shots[1])
    if high < low:
        raise InputError(f"shots={shots!r}: the most is below the fewest")
    return low, high


def ways_within(ways: Ways, fewest: int, most: int) -> tuple[int, int] | None:
    """The ways an episode may have when `most` classes are there and the target needs `fewest`; None if there are none.

    A fixed number must be met exactly; the ends of a range are only bounds.
    """
    if ways is None:
        low, high = most, most
    elif isinstance(ways, tuple):
        low, high = max(ways[0], fewest), min(most, ways[1] if ways[1] is not None else most)
    else:
        low = high = ways
    return (low, high) if fewest <= low <= high <= most else None
