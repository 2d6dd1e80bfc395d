"""Within one target: each algorithm's mean and interval, the best, and those that cannot be told
from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross.errors import InputError
from torchcross.records.notebook_tables import html_table
from torchcross.records.records import Records
from torchcross.statistics.common_episodes import Common, Scores, common_episodes, scores_of
from torchcross.statistics.intervals import (
    ONE_VALUE,
    RESAMPLES,
    Interval,
    check_level,
    check_method,
    mean_interval,
)
from torchcross.statistics.pairs import Difference, holm, paired_difference, seeded_pairs, settled
from torchcross.statistics.seeds import ONE_SEED, seeded_interval

__all__ = [
    "LOWER_IS_BETTER",
    "ONE_NUMBER",
    "Comparison",
    "Pair",
    "Row",
    "lower_is_better",
    "within_target",
]

LOWER_IS_BETTER: Final = frozenset({"mae"})
"""Metrics whose smaller value is the better one."""

ONE_NUMBER: Final = "one number per seed: no interval over test images"

_NOTHING: Final = "no algorithm scored an episode"


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One algorithm: its interval over episodes (and training seeds, where there are several).

    `interval.undefined` counts its undefined values. Where `compared` is False it has too few
    episodes in common with the others: its mean is over its own, and stands beside theirs for the
    record only.
    """

    algorithm: str
    interval: Interval
    seeds: tuple[int, ...]
    compared: bool = True


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """`first` minus `second`, over the episodes of both; `p` is corrected by Holm over all pairs of
    the comparison.
    """

    first: str
    second: str
    difference: Difference
    p: float


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """The algorithms on one target. `ties` are those whose paired difference from the `best` is not
    significant.

    `best` is "" where nothing is defined, or where means do not say who is best: `notes` say why,
    what was left out and what was not measured. `same_episodes` is False where some were not scored
    on the episodes of the others.
    """

    target: str
    metric: str
    shots: int
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    best: str
    ties: tuple[str, ...]
    level: float
    notes: tuple[str, ...]
    same_episodes: bool = True

    def row(self, algorithm: str) -> Row:
        for row in self.rows:
            if row.algorithm == algorithm:
                return row
        raise InputError(
            f"{algorithm!r} is not compared here; choose from"
            f" {[row.algorithm for row in self.rows]}"
        )

    def __str__(self) -> str:
        lines = [f"{self.target}, {self.metric}, {self.shots} shots"]
        for row in self.rows:
            mark = (
                "best"
                if row.algorithm == self.best
                else "tie"
                if row.algorithm in self.ties
                else ""
            )
            lines.append(f"  {row.algorithm}: {row.interval} {mark}".rstrip())
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        marks = {self.best: "best", **dict.fromkeys(self.ties, "tie")}
        rows = [
            (row.algorithm, str(row.interval), marks.get(row.algorithm, "")) for row in self.rows
        ]
        caption = f"{self.target}, {self.metric}, {self.shots} shots"
        return html_table(
            caption, ("algorithm", f"mean, {self.level:.0%} interval", ""), rows, self.notes
        )


def within_target(
    records: Records,
    target: str,
    metric: str,
    shots: int,
    *,
    method: str = "t",
    level: float = 0.95,
    seed: int = 0,
    episodes: Mapping[str, str] | None = None,
) -> Comparison:
    """Compare the algorithms on one target, over the episodes that all of them scored.

    With one training seed an interval is over episodes (`method` of `mean_interval`) and a test is
    the paired t test. With several they are those of `hierarchical_interval` and
    `seeded_difference`. Pairs are of the same seed and episode. Every pair of algorithms is tested
    and p corrected by Holm over all of them, so that the ties of the best hold although the best
    was chosen by the same numbers.

    An episode that one algorithm left undefined counts for none, and an algorithm that would take
    more than half of the episodes from the others is not compared. `episodes` says for each
    algorithm on which episodes it was scored, by any text, such as a digest: those with different
    texts (or one without) are not paired, and there is no best.
    """
    check_level(level)
    check_method(method)
    chosen = records.where(target=target, metric=metric, shots=shots)
    refuse_twins(chosen, f"metric {metric!r} at {shots} shots of {target!r}")
    scores = scores_of(chosen)
    groups = [
        common_episodes({name: scores[name] for name in names})
        for names in _alike(scores, episodes or {})
    ]
    kept = {name: rows for group in groups for name, rows in group.kept.items()}
    compared = {name for group in groups for name in group.compared}
    rows = tuple(
        _row(name, scores[name], kept[name], name in compared, method, level, seed)
        for name in scores
    )
    paired = [{name: one.kept[name] for name in one.compared} for one in groups]
    pairs = _pairs(paired, method, level, seed)
    best = _best(rows, lower_is_better(metric)) if len(groups) == 1 else ""
    against = _contradicting(pairs, best, lower_is_better(metric))
    notes = [*_of_groups(groups), *_notes(rows, pairs, chosen)]
    if against:
        notes.append(
            f"{best} has the best mean, and {against} the better one in what both have: no best is"
            " marked"
        )
        best = ""
    ties = {
        _other(pair, best)
        for pair in pairs
        if best in (pair.first, pair.second) and not pair.p <= 1 - level
    }
    tied = tuple(row.algorithm for row in rows if row.algorithm in ties)
    return Comparison(
        target, metric, shots, rows, pairs, best, tied, level, tuple(notes), len(groups) == 1
    )


def lower_is_better(metric: str) -> bool:
    """Whether the smaller value of a metric is the better one."""
    return metric in LOWER_IS_BETTER


def refuse_twins(records: Records, what: str) -> None:
    """An average over rows that stand twice, or over several runs of one algorithm, would be of
    something else.
    """
    if not len(records):
        raise InputError(
            f"there are no records of {what}; see records.unique('target'), 'metric' and 'shots'"
        )
    for name in records.unique("algorithm"):
        if len(runs := records.where(algorithm=name).unique("run")) > 1:
            raise InputError(
                f"{name!r} has records of {what} in several runs {list(runs)}; choose one with"
                " records.where(run=...), or name the algorithms apart"
            )
    if twins := records.twins():
        raise InputError(
            f"{len(twins)} records of {what} stand twice, the first {twins[0]}; read each table"
            " once"
        )


def _alike(scores: Mapping[str, Scores], episodes: Mapping[str, str]) -> list[list[str]]:
    """The algorithms by the episodes that they were scored on; those of which nothing is known are
    alike.
    """
    groups: dict[str | None, list[str]] = {}
    for name in scores:
        groups.setdefault(episodes.get(name), []).append(name)
    return list(groups.values())


def _row(
    name: str, given: Scores, kept: Scores, compared: bool, method: str, level: float, seed: int
) -> Row:
    table = _table(kept)
    if len(table) > 1:
        interval = seeded_interval(table, True, level, seed, RESAMPLES)
        notes = [interval.note]
    else:
        interval = mean_interval(table[0] if table else [], method=method, level=level, seed=seed)
        notes = [ONE_SEED, interval.note]
    values = [value for row in given.values() for value in row.values()]
    undefined = sum(map(math.isnan, values))
    if undefined:
        notes.insert(1, f"{undefined} of {len(values)} values undefined, left out")
    if interval.n < len(values) - undefined:
        notes.append(
            f"over {interval.n} of {len(values)} values, of the episodes that every algorithm"
            " scored"
        )
    if len(values) == len(given):
        notes = [ONE_NUMBER, *(note for note in notes if note != ONE_VALUE)]
    interval = replace(interval, undefined=undefined, note="; ".join(filter(None, notes)))
    return Row(
        name, interval, tuple(seed for seed in given if kept.get(seed)) or tuple(given), compared
    )


def _table(scores: Scores) -> list[NDArray[np.float64]]:
    """One row for each training seed that has a value, one column for each episode; NaN where there
    is none.
    """
    rows = [row for row in scores.values() if row]
    episodes = sorted({episode for row in rows for episode in row})
    return [np.array([row.get(episode, math.nan) for episode in episodes]) for row in rows]


def _pairs(
    groups: Sequence[Mapping[str, Scores]], method: str, level: float, seed: int
) -> tuple[Pair, ...]:
    named = [
        (scores, first, second) for scores in groups for first, second in combinations(scores, 2)
    ]
    found = [
        _difference(scores[first], scores[second], method, level, seed)
        for scores, first, second in named
    ]
    adjusted = holm([difference.p for difference in found]).tolist()
    return tuple(
        Pair(first, second, difference, p)
        for (_, first, second), difference, p in zip(named, found, adjusted, strict=True)
    )


def _difference(first: Scores, second: Scores, method: str, level: float, seed: int) -> Difference:
    common = {
        number: sorted(first[number].keys() & second[number].keys())
        for number in first
        if number in second
    }
    common = {number: episodes for number, episodes in common.items() if episodes}
    x = np.array(
        [first[number][episode] for number, episodes in common.items() for episode in episodes]
    )
    y = np.array(
        [second[number][episode] for number, episodes in common.items() for episode in episodes]
    )
    if len(common) < 2:
        return paired_difference(x, y, method=method, level=level, seed=seed)
    # Whoever sees the differences of one seed alone cannot tell rounding from spread.
    settled_ = iter(settled(x - y, x, y).tolist())
    table = {
        number: {episode: next(settled_) for episode in episodes}
        for number, episodes in common.items()
    }
    return seeded_pairs(_table(table), True, level)


def _contradicting(pairs: Iterable[Pair], best: str, lower: bool) -> str:
    """Who is better than the best where both were scored: with different training seeds that can
    be.
    """
    sign = -1 if lower else 1
    for pair in pairs:
        if best in (pair.first, pair.second):
            gain = sign * pair.difference.mean * (1 if pair.first == best else -1)
            if gain < 0:
                return _other(pair, best)
    return ""


def _best(rows: Sequence[Row], lower: bool) -> str:
    sign = -1 if lower else 1
    compared = [row for row in rows if row.compared]
    return max(compared, key=lambda row: sign * row.interval.mean).algorithm if compared else ""


def _other(pair: Pair, one: str) -> str:
    return pair.second if pair.first == one else pair.first


def _of_groups(groups: Sequence[Common]) -> Iterator[str]:
    if len(groups) > 1:
        who = " | ".join(", ".join(group.kept) for group in groups)
        yield f"not the same episodes ({who}): they are not paired, and no best is marked"
    for group in groups:
        for name in group.aside:
            yield (
                f"{name} is not compared: it scored {group.count(name) or 'none'} of {group.scored}"
                " values"
            )
        if group.nothing:
            left = [name for name in group.kept if name not in group.aside]
            yield (
                f"{', '.join(left)} have no episode in common: they are not compared"
                if group.scored
                else _NOTHING
            )


def _notes(rows: tuple[Row, ...], pairs: tuple[Pair, ...], records: Records) -> Iterator[str]:
    if len({row.seeds for row in rows if row.compared}) > 1:
        yield (
            "the algorithms have scores of different training seeds: pairs are of the seeds in"
            " common"
        )
    remarks = [[part for part in row.interval.note.split("; ") if part] for row in rows]
    common = [part for part in remarks[0] if all(part in others for others in remarks)]
    yield from common
    special: dict[str, list[str]] = {}
    for row, parts in zip(rows, remarks, strict=True):
        shown = [part for part in parts if part not in common]
        mine = records.where(algorithm=row.algorithm)
        silent = mine[np.isnan(mine.columns["value"])]
        reasons = ", ".join(silent.unique("reason")[:3])
        if shown:
            text = "; ".join(shown) + (f" ({reasons})" if reasons else "")
            special.setdefault(text, []).append(row.algorithm)
    yield from (f"{', '.join(names)}: {text}" for text, names in special.items())
    sizes = {row.algorithm: row.interval.n for row in rows}
    for pair in pairs:
        if pair.difference.n < max(sizes[pair.first], sizes[pair.second]):
            yield (
                f"{pair.first} and {pair.second} share {pair.difference.n} values, and are compared"
                " on these"
            )
        if math.isnan(pair.p):
            yield (
                f"{pair.first} and {pair.second} cannot be tested:"
                f" {pair.difference.note.split('; ')[-1]}"
            )
