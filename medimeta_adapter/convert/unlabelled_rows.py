"""Rows of a table without a label: an error that lists their lines, left out, or kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

from medimeta_adapter.convert.label_checks import looks_unknown
from medimeta_adapter.convert.left_out import LeftOut, LeftOutReason
from medimeta_adapter.convert.table import (
    LEAVE_EMPTY,
    CsvTask,
    Table,
    hides_names,
    holds_names,
    says_nothing,
)
from medimeta_adapter.convert.tasks import kind_of, label_names
from medimeta_adapter.format.info import TaskInfo
from torchcross.errors import InputError, LabelError

MissingLabels: TypeAlias = Literal["refuse", "drop", "keep"]
MISSING_LABELS = ("refuse", "drop", "keep")
_SHOWN = 10


def usable_rows(
    table: Table, tasks: Sequence[CsvTask], path: str, missing: MissingLabels
) -> tuple[Table, tuple[LeftOut, ...]]:
    """The rows that become images, and the others, named by the column `path`.

    Rows without a label of each task are an error, are left out, or stay.
    """
    columns: dict[int, str] = {}
    for task in tasks:
        cells = list(_without_label(table, task))
        _check_some_label(table, task, cells)
        for row, column in cells:
            columns.setdefault(row, column)
    if not columns or missing == "keep":
        return table, ()
    rows = sorted(columns)
    if missing == "refuse":
        raise _unlabelled_error(table, columns, rows)
    remaining = [row for row in range(len(table.lines)) if row not in columns]
    if not remaining:
        raise InputError(
            f"{table.path}: no row has a label of every task; correct it, leave a task out, or keep"
            " the rows with missing='keep' (--missing keep)"
        )
    names = table.column(path)
    left_out = tuple(
        LeftOut(names[row], LeftOutReason.UNLABELLED, f"no label in {columns[row]!r}")
        for row in rows
    )
    return table.take(remaining), left_out


def notes_on_empty_cells(table: Table, tasks: Sequence[CsvTask]) -> tuple[str, ...]:
    """A sentence for each column of names with empty cells, which are an answer and no unknown."""
    notes = []
    for task in tasks:
        if holds_names(table, task) and isinstance(task.columns, str):
            empty = sum(not cell.strip() for cell in table.column(task.columns))
            if empty:
                notes.append(
                    f"note: column {task.columns!r}: {empty} cells are empty, which says that the"
                    " image has none of the labels; write nan where the labels are unknown"
                )
    return tuple(notes)


def notes_on_names(infos: Sequence[TaskInfo], tasks: Sequence[CsvTask]) -> tuple[str, ...]:
    """A sentence for each class that has a name, which nobody declared, like an unknown label's."""
    return tuple(
        f"note: the class {name!r} of task {info.name!r} looks like an unknown label; if it is one,"
        f" {LEAVE_EMPTY}"
        for info, task in zip(infos, tasks, strict=True)
        if task.labels is None and isinstance(task.columns, str)
        for name in info.labels.values()
        if looks_unknown(name)
    )


def _without_label(table: Table, task: CsvTask) -> Iterator[tuple[int, str]]:
    """(row, column) of the cells that say nothing."""
    columns = [task.columns] if isinstance(task.columns, str) else list(task.columns)
    has_names, names = holds_names(table, task), label_names(task.labels)
    # In columns of zeros and ones, no cell holds the name of a label.
    names = None if kind_of(task.target).columns and not has_names else names
    for column in columns:
        for row, cell in enumerate(table.column(column)):
            if hides_names(cell, names) if has_names else says_nothing(cell, names):
                yield row, column


def _check_some_label(table: Table, task: CsvTask, cells: Sequence[tuple[int, str]]) -> None:
    """Raise if each cell of a task says nothing: then its classes are unknown too."""
    columns = 1 if isinstance(task.columns, str) else len(task.columns)
    if cells and len(cells) == columns * len(table.lines):
        raise InputError(
            f"{table.path}: no row has any label of {task.name!r}; correct its column, or leave the"
            " task out"
        )


def _unlabelled_error(table: Table, columns: dict[int, str], rows: list[int]) -> LabelError:
    first = rows[0]
    cell, column = table.column(columns[first])[first], columns[first]
    lines = ", ".join(str(table.lines[row]) for row in rows[1 : _SHOWN + 1])
    others = ""
    if len(rows) > 1:
        rest = f" and {len(rows) - 1 - _SHOWN} more" if len(rows) > _SHOWN + 1 else ""
        others = f" (so are {len(rows) - 1} others: lines {lines}{rest})"
    named = ", name them as classes: labels=[...] (--labels)" if cell.strip() else ""
    return LabelError(
        f"{table.line(first)}: {cell!r} in {column!r} is no label{others}; correct them{named},"
        " leave them out with missing='drop' (--missing drop), or keep the images with an unknown"
        " label: missing='keep' (--missing keep)"
    )
