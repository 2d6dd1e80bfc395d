"""A CSV file by columns, with the lines where rows stand, and its columns of several labels."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.tasks import LabelNames, label_names
from torchcross._kit.suggestions import suggest
from torchcross.errors import InputError, LabelError

if TYPE_CHECKING:
    import _csv

__all__ = ["CsvTask", "Table", "multilabel", "read_table"]

_YES_NO = {"1": 1, "0": 0, "1.0": 1, "0.0": 0, "true": 1, "false": 0, "yes": 1, "no": 0}
# ['a', 'b'], (0, 1), "0 1 1": what several labels in a cell look like when the separator is another
# one.
_LIST = re.compile(r"[\[({].*[\])}]|[01]([ ,;/]+[01])+")


@dataclass(frozen=True)
class CsvTask:
    """A task and where its labels stand.

    columns     one column; for "multilabel" a list of columns of zeros and ones, one per label, or
                one column of names between `separator` (of zeros and ones alone, it is one label)
    labels      label names in order, or by label value; where not given, the columns' names or what
                stands in them
    """

    name: str
    target: str
    columns: str | Sequence[str]
    labels: LabelNames = None
    separator: str = "|"

    def __post_init__(self) -> None:
        if not self.separator:
            raise InputError(
                f"the separator of {self.name!r} is empty; give what stands between labels, such"
                " as '|'"
            )


@dataclass(frozen=True)
class Table:
    """Cells by column, and the line that each row ends at."""

    path: Path
    columns: Mapping[str, list[str]]
    lines: Sequence[int]

    def column(self, name: str) -> list[str]:
        if name not in self.columns:
            raise InputError(f"{self.path} has no column {name!r}; {suggest(name, self.columns)}")
        return self.columns[name]

    def line(self, row: int) -> str:
        """Where a row stands, for errors."""
        return f"{self.path}, line {self.lines[row]}"


def read_table(path: Path, delimiter: str) -> Table:
    """A UTF-8 file with a header."""
    delimiter = "\t" if delimiter == "\\t" else delimiter
    if len(delimiter) != 1 or delimiter in '\r\n"':
        raise InputError(
            f"delimiter={delimiter!r} stands between no cells; give one character, such as ',' or"
            " '\\t'"
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _parsed(path, csv.reader(file, delimiter=delimiter, strict=True))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8 text ({error}); save it as UTF-8") from error


def _parsed(path: Path, reader: _csv.Reader) -> Table:
    rows, lines = [], []
    try:
        header = next(reader, None)
        if not header or len(set(header)) < len(header):
            raise InputError(
                f"{path}: the first line must name every column, each by a name of its own; got"
                f" {header}"
            )
        for row in reader:
            if row and len(row) != len(header):
                raise InputError(
                    f"{path}, line {reader.line_num}: {len(row)} fields; the header has"
                    f" {len(header)}"
                )
            if row:
                rows.append(row)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}") from error
    if not rows:
        raise InputError(f"{path} has a header and no rows; give one per image")
    return Table(
        path, {name: [row[place] for row in rows] for place, name in enumerate(header)}, lines
    )


def multilabel(
    table: Table, task: CsvTask, listed: list[str], cells: list[list[str]]
) -> tuple[NDArray[np.int64], LabelNames]:
    """Zeros and ones (N, L), from columns of them, or from one column of names."""
    known = label_names(task.labels)
    if not isinstance(task.columns, str) or _are_flags(cells[0], known):
        names = known or dict(enumerate(listed))
        if len(names) != len(listed):
            raise InputError(
                f"{len(names)} labels are given for the columns {listed} of {task.name!r}; give one"
                " for each"
            )
        columns = [
            [_yes(table, name, row, cell) for row, cell in enumerate(c)]
            for name, c in zip(listed, cells, strict=True)
        ]
        return np.array(columns, dtype=np.int64).T, names
    sets = [
        {part.strip() for part in cell.split(task.separator) if part.strip()} for cell in cells[0]
    ]
    if known is None:
        _check_separated(table, task, listed[0], cells[0])
    known = known or dict(enumerate(sorted(set().union(*sets))))
    names_only = list(known.values())
    for row, found in enumerate(sets):
        if wrong := sorted(found.difference(names_only)):
            raise LabelError(
                f"{table.line(row)}: {wrong[0]!r} in {listed[0]!r} is none of the labels"
                f" {names_only}"
            )
    return (
        np.array([[name in found for name in names_only] for found in sets], dtype=np.int64),
        known,
    )


def _are_flags(cells: list[str], known: Mapping[int, str] | None) -> bool:
    """Whether all that stands in a column is yes and no, and no label is called so."""
    found = {cell.strip().lower() for cell in cells} - {""}
    return (
        bool(found)
        and found <= _YES_NO.keys()
        and not found & {name.lower() for name in (known or {}).values()}
    )


def _check_separated(table: Table, task: CsvTask, column: str, cells: list[str]) -> None:
    """Refuses cells that list labels in another way than with the separator."""
    if any(task.separator in cell for cell in cells):
        return
    for row, cell in enumerate(cells):
        if _LIST.fullmatch(cell.strip()):
            raise LabelError(
                f"{table.line(row)}: {cell!r} in {column!r} looks like a list, and no cell holds"
                f" the separator {task.separator!r}; write a|b, say separator= (--separator), or"
                " give columns of zeros and ones"
            )


def _yes(table: Table, column: str, row: int, cell: str) -> int:
    found = _YES_NO.get(cell.strip().lower())
    if found is None:
        raise LabelError(f"{table.line(row)}: {cell!r} in {column!r} is neither 1 nor 0")
    return found
