"""The result of a comparison within one target: rows, pairs, the best and its ties."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from torchcross.records.notebook_tables import html_table
from torchcross.records.shots import shots_text
from torchcross.statistics.intervals import Interval
from torchcross.statistics.pairs import Difference
from torchcross.statistics.row_lookup import row_of


@final
@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One algorithm: its interval over episodes (and training seeds, where there are several).

    `interval.undefined` counts its undefined values. Where `compared` is False it has too few
    episodes in common with the others: its mean is over its own episodes, and is no part of the
    comparison. `failed` values are in the mean as the comparison's `failures_count_as`; where any
    algorithm failed, `common` is the interval over the episodes that every algorithm scored, None
    where this one scored too few of them. `partial` values are averages that left out classes.

    >>> from torchcross.records import EpisodeRecord, Records
    >>> from torchcross.statistics import within_target
    >>> scores = {"ridge": [0.9, 0.8, 0.9, 0.7], "ncm": [0.7, 0.6, 0.8, 0.6]}
    >>> records = Records.of(
    ...     EpisodeRecord("run", "ink/shape", "ink", name, 5, 0, episode, "auroc", score)
    ...     for name, values in scores.items()
    ...     for episode, score in enumerate(values)
    ... )
    >>> row = within_target(records, "ink/shape", "auroc", shots=5).row("ncm")
    >>> print(row.algorithm, row.interval, row.failed)
    ncm 0.675 ± 0.152 0
    """

    algorithm: str
    interval: Interval
    seeds: tuple[int, ...]
    compared: bool = True
    failed: int = 0
    common: Interval | None = None
    partial: int = 0

    @property
    def other_common_mean(self) -> float:
        """The mean over the common episodes where it is another one, else NaN."""
        is_other = self.common is not None and self.common.mean != self.interval.mean
        return self.common.mean if self.common is not None and is_other else math.nan


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """`first` minus `second`, over the episodes of both.

    `p` is corrected by Holm's method over the comparison's `family`. Where any algorithm failed,
    `common` is the difference over the episodes that every algorithm scored, with its `common_p`.
    Of a tie, `detectable` is the smallest difference that the test finds with 80 % power (infinite
    where no two scores of the metric are so far apart), and `equivalence_p` the p of two one-sided
    tests within the comparison's margin, corrected by Holm's method over the pairs; both are NaN
    elsewhere.

    >>> from torchcross.records import EpisodeRecord, Records
    >>> from torchcross.statistics import within_target
    >>> scores = {"ridge": [0.9, 0.8, 0.9, 0.7], "ncm": [0.7, 0.6, 0.8, 0.6]}
    >>> records = Records.of(
    ...     EpisodeRecord("run", "ink/shape", "ink", name, 5, 0, episode, "auroc", score)
    ...     for name, values in scores.items()
    ...     for episode, score in enumerate(values)
    ... )
    >>> (pair,) = within_target(records, "ink/shape", "auroc", shots=5).pairs
    >>> round(pair.difference.mean, 3), round(pair.p, 3), pair.is_separated(0.95)
    (0.15, 0.014, True)
    """

    first: str
    second: str
    difference: Difference
    p: float
    common: Difference | None = None
    common_p: float = math.nan
    detectable: float = math.nan
    equivalence_p: float = math.nan

    @property
    def names(self) -> tuple[str, str]:
        return self.first, self.second

    def is_separated(self, level: float) -> bool:
        """Whether either test finds a difference; a p of NaN finds none."""
        return self.p <= 1 - level or self.common_p <= 1 - level

    def other(self, algorithm: str) -> str:
        return self.second if self.first == algorithm else self.first


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """The algorithms on one target.

    `ties` are those whose paired difference from the `best` is not significant, nor that from any
    of the `also_best`, which have the same mean as the best and are ties, too. `best` is "" where
    nothing is defined or compared, or where means do not say which algorithm is best: `notes` say
    why, what was left out and what was not measured. `same_episodes` is False where some were not
    scored on the episodes of the others. `failures_count_as` names the value of a failure, and is
    "" where nothing failed. `one_training`: an algorithm was trained once, so the best and the ties
    are of one training each. `margin` is that of the equivalences, None where none was given.
    """

    target: str
    metric: str
    shots: int
    rows: tuple[ComparisonRow, ...]
    pairs: tuple[Pair, ...]
    best: str
    ties: tuple[str, ...]
    level: float
    notes: tuple[str, ...]
    same_episodes: bool = True
    failures_count_as: str = ""
    one_training: bool = False
    margin: float | None = None
    also_best: tuple[str, ...] = ()

    @property
    def leaders(self) -> tuple[str, ...]:
        """The best, and those with the same mean."""
        return (self.best, *self.also_best) if self.best else ()

    @property
    def family(self) -> str:
        """The tests that Holm's method corrects together."""
        pairs = "the one pair" if len(self.pairs) == 1 else f"the {len(self.pairs)} pairs"
        twice = " (each tested with failures counted and over the common episodes)"
        return f"{pairs} of algorithms{twice if self.failures_count_as else ''}"

    @property
    def equivalent(self) -> tuple[str, ...]:
        """The ties whose difference from every leader is within ±margin, at the level."""
        return tuple(name for name in self.ties if self.equivalence_p(name) <= 1 - self.level)

    def detectable(self, tie: str) -> float:
        """The smallest difference from the best that the test of this tie finds with 80 % power.

        The largest one where several lead; NaN where that of one leader is not known.
        """
        return _largest([pair.detectable for pair in self._pairs_with_leaders(tie)])

    def equivalence_p(self, tie: str) -> float:
        """That of the pair of this tie with the best.

        The largest one where several lead; NaN where that of one leader is not known.
        """
        return _largest([pair.equivalence_p for pair in self._pairs_with_leaders(tie)])

    def _pairs_with_leaders(self, algorithm: str) -> list[Pair]:
        return [
            pair
            for pair in self.pairs
            if algorithm in pair.names and pair.other(algorithm) in self.leaders
        ]

    def row(self, algorithm: str) -> ComparisonRow:
        return row_of(self.rows, algorithm)

    def __str__(self) -> str:
        lines = [
            f"  {name}: {interval} {mark}".rstrip() for name, interval, mark in self._marked_rows()
        ]
        return "\n".join([self._title(), *lines, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        header = ("algorithm", f"mean, {self.level:.0%} interval", "")
        return html_table(self._title(), header, self._marked_rows(), self.notes)

    def _title(self) -> str:
        return f"{self.target}, {self.metric}, {shots_text(self.shots)}"

    def _marked_rows(self) -> list[tuple[str, str, str]]:
        return [(row.algorithm, str(row.interval), self._mark(row)) for row in self.rows]

    def _mark(self, row: ComparisonRow) -> str:
        marks, name = [], row.algorithm
        if name in self.leaders:
            marks.append("best")
        elif name in self.ties:
            reach = self.detectable(name)
            least = f"{reach:.3f}" if math.isfinite(reach) else "no difference"
            test = "" if math.isnan(reach) else f", {least} is detectable"
            within = f", equivalent within {self.margin:g}" if name in self.equivalent else ""
            marks.append(f"tie{test}{within}")
        if marks and self.one_training:
            marks.append("one training each")
        if row.failed:
            marks.append(f"{row.failed} failed")
        if not math.isnan(row.other_common_mean):
            marks.append(f"{row.other_common_mean:.3f} on common episodes")
        if row.partial:
            marks.append(f"{row.partial} partial")
        return "; ".join(marks)


def _largest(values: Sequence[float]) -> float:
    """NaN of none, and where one is NaN."""
    return math.nan if any(map(math.isnan, values)) else max(values, default=math.nan)
