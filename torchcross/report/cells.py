"""The cells of a table: one algorithm on one target at one number of shots, as it was compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import nan

from torchcross.records import Records
from torchcross.statistics import Comparison, ComparisonRow, Interval

Column = tuple[str, int | None]
"""An algorithm and its number of shots; None for published means, which are of no shots."""

CellKey = tuple[str, str, int | None]
"""Target, algorithm, shots."""


@dataclass(frozen=True, eq=False)
class SummaryCell:
    """One algorithm on one target: its interval, its place in the row, the scores of its episodes.

    Of the mean, `failed` values are failures; `common` is the mean over the episodes that every
    algorithm of the row scored, NaN where that is the same. Where `is_compared` is False, the
    algorithm shares too few episodes with the others, and the mean is over its own ones.
    `detectable` and `is_equivalent` belong to a tie. `one_training`: the marks are of one training
    each. `partial` values are averages that left out classes. `some_missing`: other algorithms of
    the table have no rows of this target.
    """

    interval: Interval
    is_best: bool
    is_tied: bool = False
    is_compared: bool = True
    values: Sequence[float] = ()
    failed: int = 0
    common: float = nan
    partial: int = 0
    detectable: float = nan
    equivalence_p: float = nan
    is_equivalent: bool = False
    one_training: bool = False
    some_missing: bool = False

    @property
    def bounds(self) -> tuple[float, float, float]:
        return self.interval.mean, self.interval.low, self.interval.high

    @property
    def is_over_images(self) -> bool:
        """Whether the interval is over images, and another one than that over episodes."""
        return self.interval.these_images is not None

    @property
    def episode_interval(self) -> Interval:
        """The interval over episodes of these images."""
        return self.interval.these_images or self.interval


def cells_of(
    comparisons: Iterable[Comparison], records: Records
) -> Iterator[tuple[CellKey, SummaryCell]]:
    columns = records.columns
    names = ("target", "algorithm", "shots", "value")
    values: dict[CellKey, list[float]] = {}
    for *key, value in zip(*(columns[name].tolist() for name in names), strict=True):
        values.setdefault(tuple(key), []).append(value)
    for one in comparisons:
        for row in one.rows:
            key_of_cell = (one.target, row.algorithm, one.shots)
            yield key_of_cell, _cell(one, row, values[key_of_cell])


def _cell(one: Comparison, row: ComparisonRow, values: Sequence[float]) -> SummaryCell:
    name, leads = row.algorithm, row.algorithm in one.leaders
    # Of several that lead, none is a tie of the others.
    reach, p = (nan, nan) if leads else (one.detectable(name), one.equivalence_p(name))
    return SummaryCell(
        row.interval,
        is_best=leads,
        is_tied=name in one.ties and not leads,
        is_compared=row.compared,
        values=values,
        failed=row.failed,
        common=row.other_common_mean,
        partial=row.partial,
        detectable=reach,
        equivalence_p=p,
        is_equivalent=name in one.equivalent and not leads,
        one_training=one.one_training,
    )
