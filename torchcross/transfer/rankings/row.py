"""A row of a table of rankings: a score, or a simple rule, over targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from torchcross.metrics.score import Score
from torchcross.statistics.intervals import Interval
from torchcross.statistics.pairs import Difference

STATIC: Final = "static"
RANDOM: Final = "random"
LARGEST: Final = "largest"
FEWEST_TARGETS: Final = 6


def mean_text(interval: Interval) -> str:
    """A mean over targets; fewer than six have no ±, which would be wider than what there is."""
    return f"{interval.mean:.3f}" if interval.n < FEWEST_TARGETS else str(interval)


@final
@dataclass(frozen=True, slots=True)
class TargetRanking:
    """How well a score ranks the sources of one target, by measure."""

    target: str
    sources: int
    measures: Mapping[str, Score]


@final
@dataclass(frozen=True, slots=True)
class AgainstStatic:
    """The weighted tau of a score less that of the static rule, on the same pairs.

    difference    paired over the targets where both are defined
    p             of the difference, corrected by Holm's method over the scores
    pairs         pairs of a source and a target with a value that both rank
    score_tau     mean weighted tau of the score on these pairs
    static_tau    that of the static rule
    """

    difference: Difference
    p: float
    pairs: int
    score_tau: float
    static_tau: float

    @property
    def targets(self) -> int:
        return self.difference.n


@final
@dataclass(frozen=True, slots=True)
class RankingRow:
    """A score, or a simple rule, over targets.

    means                 of each measure over targets, with its interval; the target is the unit
    permutation_p         of the mean weighted tau, among scores shuffled within each target
    without_one_source    the least and the largest mean weighted tau where one source is left out
    without_one_target    the same, where one target is left out
    pairs                 how many pairs of a source and a target it ranks
    against_static        None for rules
    """

    name: str
    is_rule: bool
    targets: tuple[TargetRanking, ...]
    means: Mapping[str, Interval]
    permutation_p: float
    without_one_source: tuple[float, float]
    without_one_target: tuple[float, float]
    pairs: int
    against_static: AgainstStatic | None = None
