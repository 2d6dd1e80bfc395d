"""The numbers of a table of backbones x heads x shots: means, the best, and its ties."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torchcross.report.mean_intervals import mean_interval_of
from torchcross.report.summary import Summary
from torchcross.statistics import Across, Interval, lower_is_better
from torchcross.statistics.best_names import names_of_best


@dataclass(frozen=True)
class BackboneRow:
    """A row of the table by its parts: its head, and its backbone (empty for one without)."""

    name: str
    head: str
    backbone: str


@dataclass(frozen=True)
class AxisCell:
    """A row at one number of shots, over the targets that every row was scored on.

    `is_tied`: Wilcoxon's test over targets does not find it worse than the best, after Holm's
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
        if (interval := mean_interval_of(summary, name, shots)) is not None
    }
    compared = {name: each for name, each in intervals.items() if name not in summary.ceilings}
    means = {name: each.mean for name, each in compared.items()}
    best = names_of_best(means, lower_is_better=lower_is_better(summary.metric))
    across = summary.across.get(shots)
    cells = {}
    for name, interval in intervals.items():
        places = [(target.name, name, shots) for target in summary.targets]
        own = [summary.cells[place] for place in places if place in summary.cells]
        cells[name] = AxisCell(
            interval,
            name in best,
            name in compared and name not in best and _is_tied(across, name, best),
            sum(cell.is_best or cell.is_tied for cell in own),
            len(own),
        )
    return cells


def _is_tied(across: Across | None, name: str, best: Sequence[str]) -> bool:
    """Whether a pair with one of the best ones is not separated in favour of that one."""
    if across is None:
        return False
    return any(
        {pair.first, pair.second} == {name, first} and across.better_by_test(pair) != first
        for pair in across.pairs
        for first in best
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
