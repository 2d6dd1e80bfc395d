"""A table and its images: paths, labels of one or several tasks, subjects and splits by column."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.columns import subjects
from medimeta_adapter.convert.engine import build, check_target
from medimeta_adapter.convert.grey import channels_of
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.resumed import file_stamps
from medimeta_adapter.convert.rows import Encoded, Rows, Texts, readable_later
from medimeta_adapter.convert.splits import split_names
from medimeta_adapter.convert.table import CsvTask, Table, multilabel, read_table
from medimeta_adapter.convert.tasks import LabelNames, encoded_task, kind_of, label_names
from medimeta_adapter.format.info import TaskInfo
from torchcross.errors import InputError, LabelError

__all__ = ["CsvTask", "csv_images"]

_WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")
_NO_LABEL = frozenset({"", "nan"})


def csv_images(
    table: str | Path,
    out: str | Path,
    about: About,
    tasks: Sequence[CsvTask],
    *,
    path: str = "path",
    root: str | Path | None = None,
    subject: str | None = None,
    split: str | None = None,
    original_split: str | None = None,
    delimiter: str = ",",
    options: Options | None = None,
    progress: Progress | None = None,
) -> Converted:
    r"""A CSV file with a header, UTF-8, and image files -> `out/<id>`.

    path             the column of paths, below `root`, or below the table's folder; a path that
                     leaves it is refused
    subject          the column that says who an image is of; an empty cell: a subject of its own
    split            the column of splits as they are to be, and are: train, val, test
    original_split   the column of splits as they were; `Options.splits` says whether they stay
    delimiter        between cells, one character; a tab may be written \t
    """
    options = options or Options()
    check_target(out, about, options)
    read = read_table(Path(table), delimiter)
    folder = Path(root) if root is not None else read.path.parent
    named = read.column(path)
    files = [name.replace("\\", "/") for name in named]
    _check_below(read, folder, named, files)
    if not tasks:
        raise InputError(
            "a dataset needs at least one task; give CsvTask(name, target, column), of"
            f" {list(read.columns)}"
        )
    encoded = [_encoded(read, task) for task in tasks]
    rows = Rows(
        kind=f"table {read.path.name}",
        tasks=tuple(info for info, _ in encoded),
        labels={info.name: values for info, values in encoded},
        read=readable_later(folder, files),
        channels=channels_of(len(files), lambda place: Encoded(folder / files[place]).pixels()),
        names=named,
        subjects=None if subject is None else subjects(read.column(subject), subject),
        splits=_splits(read, split),
        original_splits=_splits(read, original_split),
        stamps=file_stamps(folder, files),
    )
    return build(rows, out, about, options, progress)


def _check_below(table: Table, root: Path, named: list[str], files: list[str]) -> None:
    inside = os.path.realpath(root)
    for row, (name, file) in enumerate(zip(named, files, strict=True)):
        if (
            "\0" in name
            or not name.strip()
            or not Path(os.path.realpath(root / file)).is_relative_to(inside)
        ):
            raise InputError(
                f"{table.line(row)}: {name!r} is no path below {root}; only files there are read"
            )


def _encoded(table: Table, task: CsvTask) -> tuple[TaskInfo, NDArray[np.int64]]:
    listed = [task.columns] if isinstance(task.columns, str) else list(task.columns)
    cells = [table.column(name) for name in listed]
    if kind_of(task.target).columns:
        values, names = multilabel(table, task, listed, cells)
        return encoded_task(task.name, task.target, values, names)
    if len(cells) != 1:
        raise InputError(f"a {task.target} task has one column; {task.name!r} got {listed}")
    for row, cell in enumerate(cells[0]):
        if cell.strip().lower() in _NO_LABEL:
            raise LabelError(
                f"{table.line(row)}: no label in {listed[0]!r}, but {cell!r}; the format has none"
                " for unlabelled images"
            )
    return encoded_task(
        task.name,
        task.target,
        _numbers_or_names(cells[0], task.labels),
        task.labels,
        lambda row: f"{table.line(row)}: the label",
    )


def _numbers_or_names(cells: list[str], labels: LabelNames) -> NDArray[np.int64] | Texts:
    """Numbers where all cells are whole numbers, as 2 or 2.0, and no label is called so."""
    stripped = [cell.strip() for cell in cells]
    names = set((label_names(labels) or {}).values())
    if names.issuperset(stripped) or not all(map(_WHOLE.fullmatch, stripped)):
        return np.array(stripped)
    try:
        return np.array([int(cell.partition(".")[0]) for cell in stripped], dtype=np.int64)
    except OverflowError:
        return np.array(stripped)


def _splits(table: Table, name: str | None) -> Texts | None:
    if name is None:
        return None
    return split_names(np.array(table.column(name)), f"{table.path}, column {name!r}")
