"""The mean of a row over the targets that are compared, with its interval for these targets."""

from __future__ import annotations

from torchcross.report.summary import Summary
from torchcross.statistics import Interval
from torchcross.statistics.over_targets import interval_over_targets


def mean_interval_of(summary: Summary, name: str, shots: int | None) -> Interval | None:
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
