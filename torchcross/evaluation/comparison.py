"""Within one target: each algorithm's mean and interval, the best, and those that cannot be told from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross.errors import InputError
from torchcross.evaluation._html import html_table
from torchcross.evaluation.intervals import (
    ONE_SEED,
    Interval,
    check_level,
    check_method,
    hierarchical_interval,
    mean_interval,
)
from torchcross.evaluation.pairs import Difference, holm, paired_difference, seeded_difference, settled
from torchcross.evaluation.records import Records

__all__ = ["LOWER_IS_BETTER", "Comparison", "Pair", "Row", "lower_is_better", "within_target"]

LOWER_IS_BETTER: Final = frozenset({"mae"})
"""Metrics whose smaller value is the better one."""

_Scores = Mapping[int, Mapping[int, float]]
"""Training seed -> episode -> value, NaN where undefined."""


@final
@dataclass(frozen=True, slots=True)
class Row:
    """One algorithm: its interval over episodes (and training seeds, where there are several)."""

    algorithm: str
    interval: Interval
    seeds: tuple[int, ...]


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """`first` minus `second`, over the episodes of both; `p` is corrected by Holm over all pairs of the comparison."""

    first: str
    second: str
    difference: Difference
    p: float


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """The algorithms on one target. `ties` are those whose paired difference from the `best` is not significant.

    `best` is "" where nothing is defined. `notes` say what was left out and what was not measured.
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

    def row(self, algorithm: str) -> Row:
        for row in self.rows:
            if row.algorithm == algorithm:
                return row
        raise InputError(f"{algorithm!r} is not compared here; choose from {[row.algorithm for row in self.rows]}")

    def __str__(self) -> str:
        lines = [f"{self.target}, {self.metric}, {self.shots} shots"]
        for row in self.rows:
            mark = "best" if row.algorithm == self.best else "tie" if row.algorithm in self.ties else ""
            lines.append(f"  {row.algorithm}: {row.interval} {mark}".rstrip())
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        marks = {self.best: "best", **dict.fromkeys(self.ties, "tie")}
        rows = [(row.algorithm, str(row.interval), marks.get(row.algorithm, "")) for row in self.rows]
        caption = f"{self.target}, {self.metric}, {self.shots} shots"
        return html_table(caption, ("algorithm", f"mean, {self.level:.0%} interval", ""), rows, self.notes)


def within_target(
    records: Records,
    target: str,
    metric: str,
    shots: int,
    *,
    method: str = "t",
    level: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare the algorithms on one target.

    With one training seed an interval is over episodes (`method` of `mean_interval`) and a test is the paired t test.
    With several, both are the bootstrap that resamples seeds, then episodes. Pairs are of the same seed and episode.
    Every pair of algorithms is tested and p corrected by Holm over all of them, so that the ties of the best hold
    although the best was chosen by the same numbers.
    """
    check_level(level)
    check_method(method)
    chosen = records.where(target=target, metric=metric, shots=shots)
    refuse_twins(chosen, f"metric {metric!r} at {shots} shots of {target!r}")
    scores = {name: _by_seed(chosen.where(algorithm=name)) for name in chosen.unique("algorithm")}
    rows = tuple(_row(name, found, method, level, seed) for name, found in scores.items())
    pairs = _pairs(scores, method, level, seed)
    best = _best(rows, lower_is_better(metric))
    ties = tuple(_other(pair, best) for pair in pairs if best in (pair.first, pair.second) and not pair.p <= 1 - level)
    defined = {row.algorithm for row in rows if row.interval.n}
    ties = tuple(row.algorithm for row in rows if row.algorithm in ties and row.algorithm in defined)
    return Comparison(target, metric, shots, rows, pairs, best, ties, level, tuple(_notes(rows, pairs, chosen)))


def lower_is_better(metric: str) -> bool:
    """Whether the smaller value of a metric is the better one."""
    return metric in LOWER_IS_BETTER


def refuse_twins(records: Records, what: str) -> None:
    """An average over rows that stand twice, or over several runs of one algorithm, would be of something else."""
    if not len(records):
        raise InputError(f"there are no records of {what}; see records.unique('target'), 'metric' and 'shots'")
    for name in records.unique("algorithm"):
        if len(runs := records.where(algorithm=name).unique("run")) > 1:
            raise InputError(
                f"{name!r} has records of {what} in several runs {list(runs)}; choose one with records.where(run=...), "
                "or name the algorithms apart"
            )
    if twins := records.twins():
        raise InputError(f"{len(twins)} records of {what} stand twice, the first {twins[0]}; read each table once")


def _by_seed(records: Records) -> dict[int, dict[int, float]]:
    columns = records.columns
    found: dict[int, dict[int, float]] = {}
    rows = zip(*(columns[name].tolist() for name in ("seed", "episode", "value")), strict=True)
    for seed, episode, value in sorted(rows, key=lambda row: row[:2]):
        found.setdefault(seed, {})[episode] = value
    return found


def _row(name: str, scores: _Scores, method: str, level: float, seed: int) -> Row:
    groups, shared = _table(scores)
    if len(groups) == 1:
        interval = mean_interval(groups[0], method=method, level=level, seed=seed)
        interval = replace(interval, note="; ".join(filter(None, (ONE_SEED, interval.note))))
    else:
        interval = hierarchical_interval(groups, shared_episodes=shared, level=level, seed=seed)
    return Row(name, interval, tuple(scores))


def _table(scores: _Scores) -> tuple[list[NDArray[np.float64]], bool]:
    """The values of each training seed in the order of their episodes, and whether these are the same for all."""
    shared = len({tuple(episodes) for episodes in scores.values()}) == 1
    return [np.array(list(episodes.values())) for episodes in scores.values()], shared


def _pairs(scores: Mapping[str, _Scores], method: str, level: float, seed: int) -> tuple[Pair, ...]:
    names = list(combinations(scores, 2))
    found = [_difference(scores[first], scores[second], method, level, seed) for first, second in names]
    adjusted = holm([difference.p for difference in found]).tolist()
    return tuple(
        Pair(first, second, difference, p)
        for (first, second), difference, p in zip(names, found, adjusted, strict=True)
    )


def _difference(first: _Scores, second: _Scores, method: str, level: float, seed: int) -> Difference:
    common = {number: sorted(first[number].keys() & second[number].keys()) for number in first if number in second}
    common = {number: episodes for number, episodes in common.items() if episodes}
    if len(common) < 2:
        x = [first[number][episode] for number, episodes in common.items() for episode in episodes]
        y = [second[number][episode] for number, episodes in common.items() for episode in episodes]
        return paired_difference(x, y, method=method, level=level, seed=seed)
    x_all, y_all = (
        {number: {episode: side[number][episode] for episode in episodes} for number, episodes in common.items()}
        for side in (first, second)
    )
    (x_rows, shared), (y_rows, _) = _table(x_all), _table(y_all)
    x_flat, y_flat = np.concatenate(x_rows), np.concatenate(y_rows)
    flat = settled(x_flat - y_flat, x_flat, y_flat)
    rows = np.split(flat, np.cumsum([len(row) for row in x_rows])[:-1])
    return seeded_difference(rows, shared_episodes=shared, level=level, seed=seed)


def _best(rows: Iterable[Row], lower: bool) -> str:
    defined = [row for row in rows if row.interval.n]
    sign = -1 if lower else 1
    return max(defined, key=lambda row: sign * row.interval.mean).algorithm if defined else ""


def _other(pair: Pair, one: str) -> str:
    return pair.second if pair.first == one else pair.first


def _notes(rows: tuple[Row, ...], pairs: tuple[Pair, ...], records: Records) -> Iterator[str]:
    if len({row.seeds for row in rows}) > 1:
        yield "the algorithms were trained with different seeds: pairs are of the seeds in common"
    remarks = [[part for part in row.interval.note.split("; ") if part] for row in rows]
    common = [part for part in remarks[0] if all(part in others for others in remarks)]
    yield from common
    for row, parts in zip(rows, remarks, strict=True):
        shown = [part for part in parts if part not in common]
        mine = records.where(algorithm=row.algorithm)
        silent = mine[np.isnan(mine.columns["value"])]
        reasons = ", ".join(silent.unique("reason")[:3])
        if shown:
            yield f"{row.algorithm}: {'; '.join(shown)}" + (f" ({reasons})" if reasons else "")
    sizes = {row.algorithm: row.interval.n + row.interval.undefined for row in rows}
    for pair in pairs:
        given = pair.difference.n + pair.difference.interval.undefined
        if given < max(sizes[pair.first], sizes[pair.second]):
            yield f"{pair.first} and {pair.second} share {given} episodes, and are compared on these"
        if math.isnan(pair.p):
            yield f"{pair.first} and {pair.second} cannot be tested: {pair.difference.note}"
