"""The request for episodes, checked and in one form before any label is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torchcross._kit.argument_checks import as_int, as_text, check_choice, is_integer
from torchcross.errors import InputError

LARGEST_SEED = 2**128
NATURAL_SUPPORT = "support: natural"
"""The last part of a described request whose supports are drawn as they come."""

Ways = int | tuple[int, int | None] | None


@dataclass(frozen=True)
class MetaDatasetShots:
    """Variable, imbalanced shots in the manner of Meta-Dataset.

    Triantafillou et al. 2020, appendix A.2. For the W chosen classes with n_c samples: the query
    takes q = min(queries, floor(min n_c / 2)) of each; the support holds min(max_support,
    sum_c ceil(beta * min(max_per_class, n_c - q))) samples with beta uniform in (0, 1], divided
    over the classes in proportion to n_c * exp(alpha_c), alpha_c uniform in [log 1/2, log 2), at
    least one each. Exact integer arithmetic, so every machine draws the same.
    """

    max_support: int = 500
    max_per_class: int = 100

    def __post_init__(self) -> None:
        _set_plain(self, max_support=as_int("max_support", self.max_support))
        _set_plain(self, max_per_class=as_int("max_per_class", self.max_per_class))


Shots = int | tuple[int, int] | MetaDatasetShots


@dataclass(frozen=True)
class Request:
    """Ways, shots and queries of an episode.

    `ways=None` means all classes, and `(2, None)` between two and all of them.

    >>> from torchcross.data import toys
    >>> sampler = tx.EpisodeSampler(toys.multiclass(300, size=8), ways=3, shots=(1, 5), queries=2)
    >>> sampler.request.ways, sampler.request.shot_range
    (3, (1, 5))
    """

    ways: Ways
    shots: Shots
    queries: int
    query: Literal["balanced", "natural"]
    groups: Literal["respect", "ignore"]
    minimal: bool
    min_samples: int | Literal["enough"] | None
    support: Literal["balanced", "natural"] = "balanced"

    def __post_init__(self) -> None:
        _set_plain(self, ways=_normal_ways(self.ways), shots=_normal_shots(self.shots))
        _set_plain(self, queries=as_int("queries", self.queries))
        check_choice("query", self.query, ("balanced", "natural"))
        check_choice("support", self.support, ("balanced", "natural"))
        check_choice("groups", self.groups, ("respect", "ignore"))
        if not isinstance(self.minimal, bool):
            raise InputError(f"minimal={self.minimal!r} is not True or False")
        _set_plain(self, min_samples=_normal_min_samples(self.min_samples))
        if isinstance(self.shots, MetaDatasetShots) and self.query != "balanced":
            raise InputError(
                "MetaDatasetShots defines its own query per class; use query='balanced' with it"
            )
        if isinstance(self.shots, MetaDatasetShots) and self.support != "balanced":
            raise InputError(
                "MetaDatasetShots defines its own support per class; give shots as a number or a"
                " pair with support='natural'"
            )

    @property
    def shot_range(self) -> tuple[int, int]:
        """The fewest and the most shots per class; (1, 1) where classes have shots of their own."""
        if isinstance(self.shots, MetaDatasetShots):
            return 1, 1
        if isinstance(self.shots, int):
            return self.shots, self.shots
        return self.shots

    def describe(self) -> list[object]:
        """Plain values that name this request: part of every stream's name, and of a plan file."""
        shots: object = self.shots
        if isinstance(self.shots, MetaDatasetShots):
            shots = ["meta-dataset", self.shots.max_support, self.shots.max_per_class]
        amounts = [self.ways, shots, self.queries]
        # Streams of balanced supports keep the names that they had before there were others.
        support = [] if self.support == "balanced" else [NATURAL_SUPPORT]
        return [*amounts, self.query, self.groups, self.minimal, self.min_samples, *support]


def checked_seed(value: object) -> int:
    """`value` as a seed."""
    if not is_integer(value) or not 0 <= value <= LARGEST_SEED:
        raise InputError(
            f"seed={as_text(value)} is not an integer from 0 to 2**128; give one in that range"
        )
    return int(value)


def _set_plain(request: object, **values: object) -> None:
    """Replace values of a frozen request by plain ones: integers of numpy are not JSON."""
    for name, value in values.items():
        object.__setattr__(request, name, value)


def _normal_ways(ways: object) -> Ways:
    if ways is None:
        return None
    if not isinstance(ways, tuple | list):
        return _one_number("ways", ways, "a pair (fewest, most or None), or None for all classes")
    if len(ways) != 2:
        raise InputError(f"ways={ways!r} is not a pair (fewest, most or None)")
    low = as_int("ways[0]", ways[0])
    high = None if ways[1] is None else as_int("ways[1]", ways[1])
    if high is not None and high < low:
        raise InputError(f"ways={ways!r}: the most is below the fewest")
    return low, high


def _normal_shots(shots: object) -> Shots:
    if isinstance(shots, MetaDatasetShots):
        return shots
    if not isinstance(shots, tuple | list):
        return _one_number("shots", shots, "a pair (fewest, most), or MetaDatasetShots()")
    if len(shots) != 2:
        raise InputError(f"shots={shots!r} is not a pair (fewest, most)")
    low, high = as_int("shots[0]", shots[0]), as_int("shots[1]", shots[1])
    if high < low:
        raise InputError(f"shots={shots!r}: the most is below the fewest")
    return low, high


def _normal_min_samples(value: object) -> int | Literal["enough"] | None:
    if value is None:
        return None
    if isinstance(value, str) and value == "enough":
        return "enough"
    return _one_number(
        "min_samples", value, "'enough' for what the request needs, or None for no filter"
    )


def _one_number(name: str, value: object, otherwise: str) -> int:
    """`value` as a positive int, or an error that names the other forms too."""
    if not is_integer(value) or value < 1:
        raise InputError(f"{name}={as_text(value)} is not an integer of at least 1, {otherwise}")
    return int(value)


def ways_within(ways: Ways, fewest: int, most: int) -> tuple[int, int] | None:
    """The ways an episode may have where the target needs `fewest` and there are `most` classes.

    None where there are none. A fixed number is met exactly; the ends of a range are only bounds.
    """
    if ways is None:
        low, high = most, most
    elif isinstance(ways, tuple):
        upper = most if ways[1] is None else ways[1]
        low, high = max(ways[0], fewest), min(most, upper)
    else:
        low = high = ways
    return (low, high) if fewest <= low <= high <= most else None
