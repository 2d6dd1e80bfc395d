"""Metrics whose tables are the same: each table is printed once, with the names of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from torchcross.report.cells import SummaryCell
from torchcross.report.summary import Summary

_ROUNDING = 1e-9


def with_same_tables(summaries: Iterable[Summary]) -> list[tuple[Summary, tuple[str, ...]]]:
    """Each different table, with the titles of the later metrics that have the same one.

    Accuracy and balanced accuracy are the same where every class has equally many query images.
    """
    tables: list[tuple[Summary, tuple[str, ...]]] = []
    for summary in summaries:
        for place, (first, titles) in enumerate(tables):
            if _is_same(first, summary):
                tables[place] = first, (*titles, summary.notation.title)
                break
        else:
            tables.append((summary, ()))
    return tables


def _is_same(first: Summary, second: Summary) -> bool:
    """Whether both show the same numbers and marks for the same targets and algorithms."""
    if replace(first.notation, title="") != replace(second.notation, title=""):
        return False
    if first.cells.keys() != second.cells.keys():
        return False
    pairs = [(cell, second.cells[key]) for key, cell in first.cells.items()]
    ones, others = (np.array([_numbers(pair[side]) for pair in pairs]) for side in (0, 1))
    is_close = np.allclose(ones, others, rtol=0.0, atol=_ROUNDING, equal_nan=True)
    return is_close and all(_marks(one) == _marks(other) for one, other in pairs)


def _numbers(cell: SummaryCell) -> tuple[float, ...]:
    return (*cell.bounds, cell.common, cell.detectable)


def _marks(cell: SummaryCell) -> tuple[object, ...]:
    counts = (cell.interval.n, cell.interval.undefined, cell.failed, cell.partial)
    return (*counts, cell.is_best, cell.is_tied, cell.is_compared, cell.is_equivalent)
