"""Scores against simple rules, over targets: does any score choose better than the static rule?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from torchcross._kit.argument_checks import as_int
from torchcross._kit.counts import count_text
from torchcross.errors import InputError
from torchcross.metrics.score import Score
from torchcross.statistics.intervals import Interval, mean_interval
from torchcross.statistics.pairs import Difference, holm, paired_difference
from torchcross.transfer.rankings.permutation import permutation_p
from torchcross.transfer.rankings.quality import (
    kendall_tau,
    recall,
    regret,
    relative_best,
    weighted_tau,
)
from torchcross.transfer.rankings.simple_rules import always, at_random, static_scores
from torchcross.transfer.source_target import SourceTargetTable

PERMUTATIONS: Final = 2_000
FEWEST_TARGETS: Final = 6
STATIC: Final = "static"
RANDOM: Final = "random"
MEASURES: Final = {
    "weighted tau": weighted_tau,
    "tau-b": kendall_tau,
    "regret@1": regret,
    "Rel@1": relative_best,
    "Recall@1": recall,
}


@final
@dataclass(frozen=True, slots=True)
class TargetRanking:
    """How well a score ranks the sources of one target, by measure."""

    target: str
    sources: int
    measures: Mapping[str, Score]


@final
@dataclass(frozen=True, slots=True)
class RankingRow:
    """A score, or a simple rule, over targets.

    means                 of each measure over targets, with its interval; the target is the unit
    permutation_p         of the mean weighted tau, among scores shuffled within each target
    without_one_source    the least and the largest mean weighted tau where one source is left out
    without_one_target    the same, where one target is left out
    against_static        the weighted tau less that of the static rule, paired over targets; None
                          for rules
    against_static_p      its p, corrected by Holm's method over the scores
    """

    name: str
    is_rule: bool
    targets: tuple[TargetRanking, ...]
    means: Mapping[str, Interval]
    permutation_p: float
    without_one_source: tuple[float, float]
    without_one_target: tuple[float, float]
    against_static: Difference | None = None
    against_static_p: float = math.nan


@final
@dataclass(frozen=True, slots=True)
class Judgement:
    """Rows of scores and simple rules, warnings, and one sentence that answers the question."""

    rows: tuple[RankingRow, ...]
    warnings: tuple[str, ...]
    answer: str

    def row(self, name: str) -> RankingRow:
        """The row of a score or of a rule."""
        for row in self.rows:
            if row.name == name:
                return row
        raise InputError(f"there is no row {name!r}; there are {[row.name for row in self.rows]}")


def judge_scores(
    scores: Mapping[str, SourceTargetTable],
    values: SourceTargetTable,
    *,
    largest: str | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    level: float = 0.95,
) -> Judgement:
    """Judge scores of sources by the values that the sources reached, within each target.

    Pairs of one name do not count: a source that is the target leaks. `largest` is the largest
    source, such as ImageNet, which the rule "always" takes.
    """
    permutations = as_int("permutations", permutations, least=0)
    values = values.without_self_pairs()
    rules = {STATIC: static_scores(values), RANDOM: at_random(values)}
    if largest is not None:
        rules[f"always {largest}"] = always(largest, values)
    if clash := sorted(rules.keys() & scores.keys()):
        raise InputError(f"the scores {clash} have the names of rules; give other names")
    tables = {name: values.align(table) for name, table in scores.items()}
    options = (permutations, seed, level)
    rows = [_row(name, table, values, False, *options) for name, table in tables.items()]
    rows += [_row(name, table, values, True, *options) for name, table in rules.items()]
    judged = _against_static(rows, level)
    return Judgement(judged, _warnings(judged, values), _answer(judged, level))


def _row(
    name: str,
    table: SourceTargetTable,
    values: SourceTargetTable,
    is_rule: bool,
    permutations: int,
    seed: int,
    level: float,
) -> RankingRow:
    targets = tuple(_target_ranking(table, values, target) for target in values.targets)
    means = {
        measure: mean_interval(
            [ranking.measures[measure].value for ranking in targets], level=level
        )
        for measure in MEASURES
    }
    ranked = [
        _both(table, values, ranking.target)
        for ranking in targets
        if ranking.measures["weighted tau"].is_defined
    ]
    p = math.nan
    if ranked and permutations:
        scored, reached = (list(part) for part in zip(*ranked, strict=True))
        p = permutation_p(scored, reached, permutations, seed)
    return RankingRow(
        name,
        is_rule,
        targets,
        means,
        p,
        _range([_mean_tau(table, values, drop_source=source) for source in values.sources]),
        _range([_mean_tau(table, values, drop_target=target) for target in values.targets]),
    )


def _both(
    table: SourceTargetTable, values: SourceTargetTable, target: str
) -> tuple[np.ndarray, np.ndarray]:
    """(scores, values) of the sources that have both for a target."""
    column = values.targets.index(target)
    scored, reached = table.values[:, column], values.values[:, column]
    both = ~(np.isnan(scored) | np.isnan(reached))
    return scored[both], reached[both]


def _target_ranking(
    table: SourceTargetTable, values: SourceTargetTable, target: str
) -> TargetRanking:
    scored, reached = _both(table, values, target)
    measures = {name: measure(scored, reached) for name, measure in MEASURES.items()}
    return TargetRanking(target, len(scored), measures)


def _mean_tau(
    table: SourceTargetTable,
    values: SourceTargetTable,
    drop_source: str = "",
    drop_target: str = "",
) -> float:
    sources = [name for name in values.sources if name != drop_source]
    targets = [name for name in values.targets if name != drop_target]
    fewer, reached = table.restrict(sources, targets), values.restrict(sources, targets)
    taus = [weighted_tau(*_both(fewer, reached, target)).value for target in targets]
    defined = [tau for tau in taus if not math.isnan(tau)]
    return math.fsum(defined) / len(defined) if defined else math.nan


def _range(numbers: Sequence[float]) -> tuple[float, float]:
    defined = [number for number in numbers if not math.isnan(number)]
    return (min(defined), max(defined)) if defined else (math.nan, math.nan)


def _against_static(rows: Sequence[RankingRow], level: float) -> tuple[RankingRow, ...]:
    static = next(row for row in rows if row.name == STATIC)
    differences = {
        row.name: paired_difference(_taus(row), _taus(static), level=level)
        for row in rows
        if not row.is_rule
    }
    corrected = dict(zip(differences, holm([item.p for item in differences.values()]), strict=True))
    return tuple(
        row
        if row.is_rule
        else replace(
            row, against_static=differences[row.name], against_static_p=corrected[row.name]
        )
        for row in rows
    )


def _taus(row: RankingRow) -> list[float]:
    return [ranking.measures["weighted tau"].value for ranking in row.targets]


def _warnings(rows: Sequence[RankingRow], values: SourceTargetTable) -> tuple[str, ...]:
    warnings = []
    if len(values.targets) < FEWEST_TARGETS:
        warnings.append(
            f"{count_text(len(values.targets), 'targets')} carry no inference over targets;"
            f" {FEWEST_TARGETS} are the fewest that do"
        )
    for row in rows:
        lost = [
            f"{ranking.target!r} ({score.reason})"
            for ranking in row.targets
            if not (score := ranking.measures["weighted tau"]).is_defined
        ]
        if lost and row.name != RANDOM and not row.name.startswith("always "):
            warnings.append(f"{row.name} ranks no sources of {', '.join(lost)}")
    return tuple(warnings)


def _answer(rows: Sequence[RankingRow], level: float) -> str:
    scores = [row for row in rows if not row.is_rule]
    if not scores:
        return "No score was given."
    static = next(row for row in rows if row.name == STATIC).means["weighted tau"].mean
    better = [
        row.name
        for row in scores
        if row.against_static is not None
        and row.against_static.mean > 0
        and row.against_static_p < 1 - level
    ]
    higher = [row.name for row in scores if row.means["weighted tau"].mean > static]
    rule = f"the static rule (the mean on the other targets, weighted tau {static:.3f})"
    if better:
        return f"{_names(better)} beat {rule}: Holm-corrected p below {1 - level:.2g}."
    if higher:
        return f"No score beats {rule} beyond doubt; the means of {_names(higher)} are higher."
    return f"No score beats {rule}, and none has a higher mean."


def _names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
