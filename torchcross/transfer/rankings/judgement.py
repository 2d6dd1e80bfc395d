"""Scores against simple rules, over targets: does any score choose better than the static rule?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, final

import numpy as np

from torchcross._kit.argument_checks import as_int
from torchcross.errors import InputError
from torchcross.metrics.score import Score
from torchcross.statistics.intervals import mean_interval
from torchcross.statistics.pairs import holm, paired_difference
from torchcross.transfer.rankings.answer import answer_of, warnings_of
from torchcross.transfer.rankings.permutation import permutation_p
from torchcross.transfer.rankings.quality import (
    kendall_tau,
    recall,
    regret,
    relative_best,
    weighted_tau,
)
from torchcross.transfer.rankings.row import (
    LARGEST,
    RANDOM,
    STATIC,
    AgainstStatic,
    RankingRow,
    TargetRanking,
)
from torchcross.transfer.rankings.simple_rules import always, at_random, by_size, static_scores
from torchcross.transfer.source_target import SourceTargetTable, position

PERMUTATIONS: Final = 2_000
MEASURES: Final = {
    "weighted tau": weighted_tau,
    "tau-b": kendall_tau,
    "regret@1": regret,
    "Rel@1": relative_best,
    "Recall@1": recall,
}
Ranker: TypeAlias = Callable[[SourceTargetTable], SourceTargetTable]
"""What the sources and targets of a table of values score."""


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
    sizes: Mapping[str, float] | None = None,
    largest: str | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    level: float = 0.95,
) -> Judgement:
    """Judge scores of sources by the values that the sources reached, within each target.

    Self-pairs do not count: a source that was learned from the target leaks. `sizes` are the
    numbers of images that the sources were learned from, for the rule "largest", which takes the
    largest source. Where they are unknown, `largest` names it: the rule "always ..." takes that
    one.
    """
    permutations = as_int("permutations", permutations, least=0)
    values = values.without_self_pairs()
    rules: dict[str, Ranker] = {STATIC: static_scores, RANDOM: at_random}
    if sizes is not None:
        rules[LARGEST] = _ranker_of(by_size(sizes, values))
    if largest is not None:
        position("source", largest, values.sources)
        rules[f"always {largest}"] = _ranker_of(always(largest, values))
    if clash := sorted(rules.keys() & scores.keys()):
        raise InputError(f"the scores {clash} have the names of rules; give other names")
    rankers = {name: _ranker_of(values.align(table)) for name, table in scores.items()}
    options = (permutations, seed, level)
    rows = [_row(name, ranker, values, False, *options) for name, ranker in rankers.items()]
    rows += [_row(name, ranker, values, True, *options) for name, ranker in rules.items()]
    tables = {name: ranker(values) for name, ranker in rankers.items()}
    judged = _beside_static(rows, tables, values, level)
    has_largest = sizes is not None or largest is not None
    warnings = warnings_of(judged, values, has_largest)
    return Judgement(judged, warnings, answer_of(judged, values, level))


def _ranker_of(table: SourceTargetTable) -> Ranker:
    """What a score says stays, whichever values are left out."""
    return lambda values: table.restrict(values.sources, values.targets)


def _row(
    name: str,
    ranker: Ranker,
    values: SourceTargetTable,
    is_rule: bool,
    permutations: int,
    seed: int,
    level: float,
) -> RankingRow:
    table = ranker(values)
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
        _range([_mean_tau(ranker, _without(values, source=name)) for name in values.sources]),
        _range([_mean_tau(ranker, _without(values, target=name)) for name in values.targets]),
        values.where_known(table).count,
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


def _without(values: SourceTargetTable, source: str = "", target: str = "") -> SourceTargetTable:
    return values.restrict(
        [name for name in values.sources if name != source],
        [name for name in values.targets if name != target],
    )


def _mean_tau(ranker: Ranker, values: SourceTargetTable) -> float:
    """Of these values alone: the static rule does not know those that were left out."""
    table = ranker(values)
    defined = [tau.value for tau in _taus(table, values) if tau.is_defined]
    return math.fsum(defined) / len(defined) if defined else math.nan


def _taus(table: SourceTargetTable, values: SourceTargetTable) -> list[Score]:
    return [weighted_tau(*_both(table, values, target)) for target in values.targets]


def _range(numbers: Sequence[float]) -> tuple[float, float]:
    defined = [number for number in numbers if not math.isnan(number)]
    return (min(defined), max(defined)) if defined else (math.nan, math.nan)


def _beside_static(
    rows: Sequence[RankingRow],
    tables: Mapping[str, SourceTargetTable],
    values: SourceTargetTable,
    level: float,
) -> tuple[RankingRow, ...]:
    static = static_scores(values)
    beside = {name: _comparison(table, static, values, level) for name, table in tables.items()}
    p_values = holm([comparison.p for comparison in beside.values()])
    for name, p in zip(beside, p_values, strict=True):
        beside[name] = replace(beside[name], p=p)
    return tuple(replace(row, against_static=beside.get(row.name)) for row in rows)


def _comparison(
    table: SourceTargetTable, static: SourceTargetTable, values: SourceTargetTable, level: float
) -> AgainstStatic:
    """On the pairs that both have: more sources make another weighted tau."""
    shared = values.where_known(table, static)
    taus = [[tau.value for tau in _taus(each, shared)] for each in (table, static)]
    difference = paired_difference(*taus, level=level)
    defined = [pair for pair in zip(*taus, strict=True) if not any(map(math.isnan, pair))]
    means = np.mean(defined, axis=0).tolist() if defined else (math.nan, math.nan)
    return AgainstStatic(difference, difference.p, shared.count, *means)
