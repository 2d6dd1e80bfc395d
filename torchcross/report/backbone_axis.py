"""The numbers of a table of backbones x heads x shots: means, the best, and its ties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from torchcross.report.summary import Summary
from torchcross.statistics import Across, Interval, lower_is_better
from torchcross.statistics.over_targets import interval_over_targets


@dataclass(frozen=True)
class BackboneRow:
    """A row of the table by its parts: its head, and its backbone (empty for one without)."""

    name: str
    head: str
    backbone: str


@dataclass(frozen=True)
class AxisCell:
    """A row at one number of shots, over the targets that every row was scored on.

    `is_tied`: Wilcoxon's test over targets does not separate it from the best, after Holm's
    correction. Of `targets` targets, it is the best or tied with the best on `leads`.
    """

    interval: Interval
    is_best: bool
    is_tied: bool
    leads: int
    targets: int


def has_backbones(summary: Summary) -> bool:
    """Whether the rows of a summary are of several backbones."""
    return len({backbone for _, backbone in summary.backbones.values()}) > 1


def backbone_rows(summary: Summary) -> tuple[BackboneRow, ...]:
    """The rows in the order of the table; those that have no backbone come last."""
    rows = [
        BackboneRow(name, *summary.backbones.get(name, (name, ""))) for name in summary.algorithms
    ]
    return tuple(sorted(rows, key=lambda row: not row.backbone))


def axis_cells(summary: Summary, shots: int) -> dict[str, AxisCell]:
    """The cells at one number of shots, by the names of their rows."""
    intervals = {
        name: interval
        for name in summary.algorithms
        if (interval := _mean_interval(summary, name, shots)) is not None
    }
    compared = {name: each for name, each in intervals.items() if name not in summary.ceilings}
    best = _best_of(compared, summary.metric)
    across = summary.across.get(shots)
    cells = {}
    for name, interval in intervals.items():
        places = [(target.name, name, shots) for target in summary.targets]
        own = [summary.cells[place] for place in places if place in summary.cells]
        cells[name] = AxisCell(
            interval,
            name == best,
            name in compared and best != "" and _is_tied(across, name, best),
            sum(cell.is_best or cell.is_tied for cell in own),
            len(own),
        )
    return cells


def _best_of(intervals: dict[str, Interval], metric: str) -> str:
    """The name of the best mean; empty where there is none."""
    known = {name: each.mean for name, each in intervals.items() if isfinite(each.mean)}
    if not known:
        return ""
    best = min if lower_is_better(metric) else max
    return best(known, key=lambda name: known[name])


def _mean_interval(summary: Summary, name: str, shots: int) -> Interval | None:
    """Over the targets that are compared across rows; None where the row has no cell there."""
    across = summary.across.get(shots)
    if across is not None and (name not in across.algorithms or across.not_averaged):
        return None
    targets = across.targets if across is not None else [each.name for each in summary.targets]
    cells = [summary.cells.get((target, name, shots)) for target in targets]
    intervals = [cell.interval for cell in cells if cell is not None]
    if not intervals or len(intervals) < len(targets):
        return None
    return interval_over_targets(intervals)


def _is_tied(across: Across | None, name: str, best: str) -> bool:
    if across is None or name == best:
        return False
    return any(
        {pair.first, pair.second} == {name, best} and not pair.p <= 1 - across.level
        for pair in across.pairs
    )


def ties_of(cells: Mapping[str, AxisCell]) -> list[str]:
    """The names of the rows that are tied with the best over targets, the nearest first."""
    best = [cell.interval.mean for cell in cells.values() if cell.is_best]
    tied = [name for name, cell in cells.items() if cell.is_tied]
    return sorted(tied, key=lambda name: abs(cells[name].interval.mean - best[0]))


def leading_often(cells: Mapping[str, AxisCell]) -> list[str]:
    """The other rows that are the best or tied with it on at least half of the targets."""
    names = [
        name for name, cell in cells.items() if not cell.is_best and 2 * cell.leads >= cell.targets
    ]
    return sorted(names, key=lambda name: -cells[name].leads)
