"""The last rows of the headline table: means over the targets and mean ranks, with their marks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite

from torchcross.report.cells import Column
from torchcross.report.headline import ONE_TRAINING, TIE, CellText, columns_of
from torchcross.report.standings import Standing, standings
from torchcross.report.summary import Summary


@dataclass(frozen=True)
class LastRow:
    """A name, and a cell for each column."""

    name: str
    cells: tuple[CellText, ...]


def last_rows(summary: Summary, missing: str = "—") -> list[LastRow]:
    """The means over the targets, and the mean ranks where there are any.

    Bold is the best at its shots, and a dagger is at what the tests across targets do not find
    worse: Wilcoxon's after Holm's correction for means, Nemenyi's for ranks. Where there are too
    few targets for a diagram of Nemenyi's test, ranks have no marks.
    """
    if summary.is_published and not any(across.targets for across in summary.across.values()):
        return []
    columns = columns_of(summary)
    notation = replace(summary.notation, digits=max(1, summary.notation.digits))
    places = dict(_places(summary))
    means = [
        _cell(summary, column, notation.text(summary.mean_of(column), missing), places, _mean_marks)
        for column in columns
    ]
    rows = [LastRow("mean of the targets", tuple(means))]
    ranks = [summary.rank_of(column) for column in columns]
    if any(map(isfinite, ranks)):
        texts = [f"{rank:.2f}" if isfinite(rank) else missing for rank in ranks]
        cells = (
            _cell(summary, column, text, places, _rank_marks)
            for column, text in zip(columns, texts, strict=True)
        )
        rows.append(LastRow("mean rank", tuple(cells)))
    return rows


def printed_last_rows(summary: Summary, missing: str = "—") -> list[LastRow]:
    """Those of a table on its own. Ranks of records need the tests that stand on the page."""
    rows = last_rows(summary, missing)
    return rows if summary.is_published else rows[:1]


Place = tuple[Standing, bool, bool | None]
"""A standing, whether its mean is the best, and whether its rank is; None: ranks have no marks."""


def _places(summary: Summary) -> list[tuple[Column, Place]]:
    """Of the columns at shots where algorithms are compared."""
    places: list[tuple[Column, Place]] = []
    for shots, across in summary.across.items():
        if not across.targets:
            continue
        order = standings(across)
        best = min((each.rank for each in order if isfinite(each.rank)), default=0.0)
        places += [
            (
                (each.name, shots),
                (
                    each,
                    isfinite(each.mean) and each.is_first,
                    each.rank == best if across.diagram else None,
                ),
            )
            for each in order
        ]
    return places


def _mean_marks(place: Place) -> tuple[bool, bool]:
    standing, leads, _ = place
    return leads, not leads and isfinite(standing.p) and not standing.is_separate


def _rank_marks(place: Place) -> tuple[bool, bool]:
    standing, _, leads = place
    if leads is None:
        return False, False
    return leads, not leads and standing.is_near


def _cell(
    summary: Summary,
    column: Column,
    text: str,
    places: dict[Column, Place],
    marks_of: Callable[[Place], tuple[bool, bool]],
) -> CellText:
    is_best, is_tied = marks_of(places[column]) if column in places else (False, False)
    is_grey = (is_best or is_tied) and _has_one_training(summary, column)
    signs = ((TIE, is_tied), (ONE_TRAINING, is_grey))
    sign = "".join(sign for sign, applies in signs if applies)
    return CellText(text, "", sign, "", is_best, is_grey)


def _has_one_training(summary: Summary, column: Column) -> bool:
    """Whether the marks at these shots are of one training each."""
    return any(cell.one_training for key, cell in summary.cells.items() if key[2] == column[1])
