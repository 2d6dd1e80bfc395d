"""CSV files by columns, with the line of each row, and columns of several labels."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.label_checks import refuse_doubtful_texts
from medimeta_adapter.convert.tasks import LabelNames, kind_of, label_names
from medimeta_adapter.format.annotations import means_unknown
from torchcross._kit.missing_labels import MISSING
from torchcross._kit.suggestions import suggest
from torchcross._kit.user_files import check_regular
from torchcross.errors import InputError, LabelError

if TYPE_CHECKING:
    import _csv

_GIVE_MISSING = "and give missing='keep' or 'drop' (--missing keep, --missing drop)"
LEAVE_EMPTY = f"leave its cell empty {_GIVE_MISSING}"
_YES_NO = {"1": 1, "0": 0, "1.0": 1, "0.0": 0, "true": 1, "false": 0, "yes": 1, "no": 0}
# ['a', 'b'], (0, 1), "0 1 1": several labels in a cell with another separator than the given one.
_LIST = re.compile(r"[\[({].*[\])}]|[01]([ ,;/]+[01])+")


@dataclass(frozen=True)
class CsvTask:
    """A task and the columns of its labels.

    columns     one column; for "multilabel" a list of columns of zeros and ones, one per label, or
                one column of names separated by `separator` (zeros and ones alone are one label)
    labels      label names in order, or by label value (default: the names of the columns, or the
                values in the column)
    """

    name: str
    target: str
    columns: str | Sequence[str]
    labels: LabelNames = None
    separator: str = "|"

    def __post_init__(self) -> None:
        if not self.separator:
            raise InputError(
                f"the separator of {self.name!r} is empty; give the text between labels, such as"
                " '|'"
            )


@dataclass(frozen=True)
class Table:
    """Cells by column, and the line in which each row ends."""

    path: Path
    columns: Mapping[str, list[str]]
    lines: Sequence[int]

    def column(self, name: str) -> list[str]:
        if name not in self.columns:
            raise InputError(f"{self.path} has no column {name!r}; {suggest(name, self.columns)}")
        return self.columns[name]

    def take(self, rows: Sequence[int]) -> Table:
        """Some of the rows, which keep their lines."""
        columns = {name: [cells[row] for row in rows] for name, cells in self.columns.items()}
        return Table(self.path, columns, [self.lines[row] for row in rows])

    def line(self, row: int) -> str:
        """The place of a row, for errors."""
        return f"{self.path}, line {self.lines[row]}"


def read_table(path: Path, delimiter: str) -> Table:
    """A UTF-8 file with a header."""
    delimiter = "\t" if delimiter == "\\t" else delimiter
    if len(delimiter) != 1 or delimiter in '\r\n"':
        raise InputError(
            f"delimiter={delimiter!r} cannot separate cells; give one character, such as ',' or"
            " '\\t'"
        )
    try:
        check_regular(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            return _read_rows(path, csv.reader(file, delimiter=delimiter, strict=True))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error}); save it as UTF-8") from error


def _read_rows(path: Path, reader: _csv.Reader) -> Table:
    rows, lines = [], []
    try:
        header = next(reader, None)
        if not header:
            raise InputError(
                f"{path} {'is empty' if header is None else 'has an empty first line'}; give the"
                " names of its columns, and a row for each image"
            )
        if len(set(header)) < len(header):
            raise InputError(
                f"{path}: the first line must give every column a different name; got {header}"
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
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    return Table(path, columns, lines)


def says_nothing(cell: str, names_by_value: Mapping[int, str] | None = None) -> bool:
    """Whether a cell says that its label is unknown: empty, NaN, n/a, ..., and no label's name."""
    if not means_unknown(cell):
        return False
    return cell.strip().lower() not in {name.lower() for name in (names_by_value or {}).values()}


def hides_names(cell: str, names_by_value: Mapping[int, str] | None) -> bool:
    """Whether a cell in a column of names says that they are unknown.

    An empty cell does not: it says that the image has none of the labels.
    """
    return bool(cell.strip()) and says_nothing(cell, names_by_value)


def holds_names(table: Table, task: CsvTask) -> bool:
    """Whether the labels of a task are one column whose cells name the labels of an image."""
    if not kind_of(task.target).columns or not isinstance(task.columns, str):
        return False
    return not _are_flags(table.column(task.columns), label_names(task.labels))


def multilabel_values(
    table: Table, task: CsvTask, columns: list[str], cells: list[list[str]]
) -> tuple[NDArray[np.int64], LabelNames]:
    """Zeros and ones (N, L), from columns of them, or from one column of names.

    `MISSING` stands for what is unknown.
    """
    names_by_value = label_names(task.labels)
    if isinstance(task.columns, str) and not _are_flags(cells[0], names_by_value):
        return _values_of_sets(table, task, columns[0], cells[0], names_by_value)
    names_by_value = names_by_value or dict(enumerate(columns))
    if len(names_by_value) != len(columns):
        raise InputError(
            f"{len(names_by_value)} labels are given for the columns {columns} of {task.name!r};"
            " give one for each"
        )
    values = np.empty((len(table.lines), len(columns)), dtype=np.int64)
    for place, (name, column) in enumerate(zip(columns, cells, strict=True)):
        values[:, place] = [_flag_value(table, name, row, cell) for row, cell in enumerate(column)]
    return values, names_by_value


def _values_of_sets(
    table: Table,
    task: CsvTask,
    column: str,
    cells: list[str],
    names_by_value: dict[int, str] | None,
) -> tuple[NDArray[np.int64], LabelNames]:
    """Zeros and ones from a column whose cells list the names of their labels."""
    unknown = [hides_names(cell, names_by_value) for cell in cells]
    sets = [
        set() if is_unknown else {part.strip() for part in cell.split(task.separator)} - {""}
        for cell, is_unknown in zip(cells, unknown, strict=True)
    ]
    if names_by_value is None:
        _check_separated(table, task, column, cells)
        _check_names(table, task, sets)
        names_by_value = dict(enumerate(sorted(set().union(*sets))))
    names = list(names_by_value.values())
    for row, labels in enumerate(sets):
        if foreign := sorted(labels.difference(names)):
            raise LabelError(
                f"{table.line(row)}: {foreign[0]!r} in {column!r} is none of the labels {names}"
            )
    answers = [[name in labels for name in names] for labels in sets]
    values = np.array(answers, dtype=np.int64).reshape(len(sets), len(names))
    values[unknown] = MISSING
    return values, names_by_value


def _are_flags(cells: list[str], names_by_value: Mapping[int, str] | None) -> bool:
    """Whether a column holds only yes and no, in any spelling, and no label has such a name."""
    values = {cell.strip().lower() for cell in cells if not means_unknown(cell)}
    names = {name.lower() for name in (names_by_value or {}).values()}
    return bool(values) and values <= _YES_NO.keys() and values.isdisjoint(names)


def _check_separated(table: Table, task: CsvTask, column: str, cells: list[str]) -> None:
    """Raise if cells list labels with another separator."""
    if any(task.separator in cell for cell in cells):
        return
    for row, cell in enumerate(cells):
        if _LIST.fullmatch(cell.strip()):
            raise LabelError(
                f"{table.line(row)}: {cell!r} in {column!r} looks like a list, but no cell holds"
                f" the separator {task.separator!r}; write a|b, give separator= (--separator), or"
                " give columns of zeros and ones"
            )


def _check_names(table: Table, task: CsvTask, sets: list[set[str]]) -> None:
    """Raise where a cell holds what hardly is a label's name, such as -1 among whole numbers."""
    rows = [row for row, labels in enumerate(sets) for _ in labels]
    refuse_doubtful_texts(
        task.name,
        np.array([name for labels in sets for name in sorted(labels)], dtype=str),
        lambda place: f"{table.line(rows[place])}: a label",
        f"write nan in its cell {_GIVE_MISSING}",
    )


def _flag_value(table: Table, column: str, row: int, cell: str) -> int:
    if says_nothing(cell):
        return MISSING
    value = _YES_NO.get(cell.strip().lower())
    if value is None:
        raise LabelError(
            f"{table.line(row)}: {cell!r} in {column!r} is neither 1 nor 0; if it stands for an"
            f" unknown label, {LEAVE_EMPTY}"
        )
    return value
