"""The result of a comparison within one target: rows, pairs, the best and its ties."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torchcross.errors import InputError
from torchcross.records.notebook_tables import html_table
from torchcross.statistics.intervals import Interval
from torchcross.statistics.pairs import Difference


@final
@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """One algorithm: its interval over episodes (and training seeds, where there are several).

    `interval.undefined` counts its undefined values. Where `compared` is False it has too few
    episodes in common with the others: its mean is over its own episodes, and is no part of the
    comparison.
    """

    algorithm: str
    interval: Interval
    seeds: tuple[int, ...]
    compared: bool = True


@final
@dataclass(frozen=True, slots=True)
class Pair:
    """`first` minus `second`, over the episodes of both.

    `p` is corrected by Holm's method over all pairs of the comparison.
    """

    first: str
    second: str
    difference: Difference
    p: float

    @property
    def names(self) -> tuple[str, str]:
        return self.first, self.second

    def other(self, algorithm: str) -> str:
        return self.second if self.first == algorithm else self.first


@final
@dataclass(frozen=True, slots=True)
class Comparison:
    """The algorithms on one target.

    `ties` are those whose paired difference from the `best` is not significant. `best` is "" where
    nothing is defined, or where means do not say which algorithm is best: `notes` say why, what was
    left out and what was not measured. `same_episodes` is False where some were not scored on the
    episodes of the others.
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

    def row(self, algorithm: str) -> ComparisonRow:
        for row in self.rows:
            if row.algorithm == algorithm:
                return row
        raise InputError(
            f"{algorithm!r} is not compared here; choose from"
            f" {[row.algorithm for row in self.rows]}"
        )

    def __str__(self) -> str:
        lines = [
            f"  {name}: {interval} {mark}".rstrip() for name, interval, mark in self._marked_rows()
        ]
        return "\n".join([self._title(), *lines, *(f"  {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        header = ("algorithm", f"mean, {self.level:.0%} interval", "")
        return html_table(self._title(), header, self._marked_rows(), self.notes)

    def _title(self) -> str:
        return f"{self.target}, {self.metric}, {self.shots} shots"

    def _marked_rows(self) -> list[tuple[str, str, str]]:
        marks = {**dict.fromkeys(self.ties, "tie"), self.best: "best"}
        return [
            (row.algorithm, str(row.interval), marks.get(row.algorithm, "")) for row in self.rows
        ]
