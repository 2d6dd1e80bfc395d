"""How stable rankings are: does another set-up (seed, fold, fraction) order the sources alike?

Agostinelli et al. (2022) found that small changes of the set-up turn conclusions about scores.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final, TypeAlias, final

from torchcross._kit.argument_checks import check_choice
from torchcross._kit.counts import count_text
from torchcross.errors import InputError
from torchcross.metrics.score import Score
from torchcross.statistics.intervals import Interval, mean_interval
from torchcross.transfer.rankings.judgement import MEASURES
from torchcross.transfer.rankings.quality import weighted_tau
from torchcross.transfer.rankings.row import mean_text
from torchcross.transfer.source_target import SourceTargetTable

FEWEST_PAIRS: Final = 6
Setup: TypeAlias = str | tuple[str, ...]
Setups: TypeAlias = Mapping[str, SourceTargetTable] | Mapping[tuple[str, ...], SourceTargetTable]


@final
@dataclass(frozen=True, slots=True)
class SetupPair:
    """Two set-ups, and by target the weighted tau of their rankings."""

    one: Setup
    other: Setup
    taus: Mapping[str, Score]


@final
@dataclass(frozen=True, slots=True)
class Stability:
    """The weighted taus of the rankings of set-ups, two by two.

    pairs    of set-ups
    targets  by target, the mean over pairs; NaN where no pair ranks two sources
    mean     over targets, with its interval; the target is the unit
    """

    pairs: tuple[SetupPair, ...]
    targets: Mapping[str, float]
    mean: Interval

    @property
    def lowest(self) -> tuple[float, str, Setup, Setup]:
        """(the lowest weighted tau, its target, its two set-ups)."""
        taus = [
            (score.value, target, pair.one, pair.other)
            for pair in self.pairs
            for target, score in pair.taus.items()
            if score.is_defined
        ]
        first = self.pairs[0]
        return min(taus, key=lambda each: each[0], default=(math.nan, "", first.one, first.other))

    def __str__(self) -> str:
        counts = f"{count_text(len(self.pairs), 'pairs')} of set-ups"
        tau, target, one, other = self.lowest
        if math.isnan(tau):
            return f"no weighted tau over {counts}: no target has two sources of different numbers"
        # Few targets, or few pairs that share set-ups, say little of how far the mean may be off.
        mean = f"{self.mean.mean:.3f}"
        if len(self.pairs) >= FEWEST_PAIRS:
            mean = mean_text(self.mean)
        return (
            f"weighted tau {mean} over {counts}; lowest {tau:.3f} ({target}: {_name(one)}"
            f" against {_name(other)})"
        )


def stability(setups: Setups) -> Stability:
    """How alike the sources are ranked in several set-ups, within each target.

    Each set-up has a table of the same numbers: of a score, or of the values that the sources
    reached. Names that are tuples, such as ("seed 0", "fold 2"), are compared where they differ in
    one component. Only sources that both tables rank count. For the order of scores rather than of
    sources, give tables of `score_quality`.
    """
    pairs = tuple(_pairs(setups))
    if not pairs:
        raise InputError(
            f"no two of the set-ups {list(setups)} differ in one component; give two or more"
        )
    names = list(dict.fromkeys(target for pair in pairs for target in pair.taus))
    targets = {
        name: _mean([pair.taus[name] for pair in pairs if name in pair.taus]) for name in names
    }
    return Stability(pairs, targets, mean_interval(list(targets.values())))


def score_quality(
    scores: Mapping[str, SourceTargetTable],
    values: SourceTargetTable,
    measure: str = "weighted tau",
) -> SourceTargetTable:
    """How well each score ranks the sources of each target: scores take the place of sources.

    `measure` is one of those of `judge_scores`; regrets are negative, so that higher is better.
    Self-pairs do not count.
    """
    check_choice("measure", measure, tuple(MEASURES))
    values = values.without_self_pairs()
    sign = -1 if measure.startswith("regret") else 1
    tables = {name: values.align(table) for name, table in scores.items()}

    def quality(score: str, target: str) -> float:
        column = values.targets.index(target)
        numbers = tables[score].values[:, column], values.values[:, column]
        return sign * MEASURES[measure](*numbers).value

    return SourceTargetTable.of_function(tuple(scores), values.targets, quality)


def _pairs(setups: Setups) -> Iterator[SetupPair]:
    tables: list[tuple[Setup, SourceTargetTable]] = [(name, each) for name, each in setups.items()]
    for (one, first), (other, second) in combinations(tables, 2):
        if _differ_in_one(one, other):
            both = first.align(second)
            taus = {
                target: weighted_tau(first.values[:, column], both.values[:, column])
                for column, target in enumerate(first.targets)
                if target in second.targets
            }
            yield SetupPair(one, other, taus)


def _differ_in_one(one: Setup, other: Setup) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return True
    if len(one) != len(other):
        raise InputError(f"the set-ups {one} and {other} have different numbers of components")
    return sum(first != second for first, second in zip(one, other, strict=True)) == 1


def _mean(scores: list[Score]) -> float:
    defined = [score.value for score in scores if score.is_defined]
    return math.fsum(defined) / len(defined) if defined else math.nan


def _name(setup: Setup) -> str:
    return setup if isinstance(setup, str) else ", ".join(setup)
