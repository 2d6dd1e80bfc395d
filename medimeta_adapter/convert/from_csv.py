"""Convert a table and its images: paths, labels of tasks, subjects and splits by column."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.columns import subjects
from medimeta_adapter.convert.engine import build, check_target
from medimeta_adapter.convert.grey import common_channels
from medimeta_adapter.convert.label_checks import WHOLE
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.resumed import file_stamps
from medimeta_adapter.convert.rows import Encoded, Rows, Texts, lazy_file_reader
from medimeta_adapter.convert.splits import merged_split_words, refuse_new_splits, split_names
from medimeta_adapter.convert.table import (
    LEAVE_EMPTY,
    CsvTask,
    Table,
    multilabel_values,
    read_table,
    says_nothing,
)
from medimeta_adapter.convert.tasks import LabelNames, encode_task, kind_of, label_names
from medimeta_adapter.convert.unlabelled_rows import (
    MISSING_LABELS,
    MissingLabels,
    notes_on_empty_cells,
    notes_on_names,
    usable_rows,
)
from medimeta_adapter.format.info import TaskInfo
from torchcross._kit.argument_checks import check_choice
from torchcross._kit.missing_labels import MISSING
from torchcross.errors import InputError


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
    missing: MissingLabels = "refuse",
    options: Options | None = None,
    progress: Progress | None = None,
) -> Converted:
    r"""Write the images of a CSV file (UTF-8, with a header) as the dataset `out/<id>`.

    path             the column of paths below `root` (default: below the table's folder); a path
                     that leaves the folder is an error
    subject          the column of subjects; an empty cell is a subject of its own
    split            the column of the splits to write: train, val, test
    original_split   the column of original splits; `Options.splits` says whether they stay
    delimiter        the character between cells; a tab may be written \t
    missing          what happens to rows without a label (an empty cell, NaN, None, NA, n/a or
                     null, where `labels` has no such name): an error lists their lines ("refuse"),
                     they are left out and named ("drop"), or their images stay, with a label that
                     the dataset declares unknown ("keep")
    """
    options = options or Options()
    check_target(out, about, options)
    check_choice("missing", missing, MISSING_LABELS)
    cells, unlabelled = usable_rows(read_table(Path(table), delimiter), tasks, path, missing)
    folder = Path(root) if root is not None else cells.path.parent
    paths = cells.column(path)
    files = [name.replace("\\", "/") for name in paths]
    _check_below(cells, folder, paths, files)
    if not tasks:
        raise InputError(
            "a dataset needs at least one task; give CsvTask(name, target, column), of"
            f" {list(cells.columns)}"
        )
    if split is not None:
        refuse_new_splits(options, "original_split= (--original-split)")
    encoded = [_encode(cells, task) for task in tasks]
    notes_on_labels = notes_on_empty_cells(cells, tasks) if missing == "keep" else ()
    splits, original_splits = _splits(cells, split), _splits(cells, original_split)
    rows = Rows(
        kind=f"table {cells.path.name}",
        path=cells.path,
        tasks=tuple(info for info, _ in encoded),
        labels={info.name: values for info, values in encoded},
        read=lazy_file_reader(folder, files),
        channels=common_channels(len(files), lambda place: Encoded(folder / files[place]).pixels()),
        names=paths,
        subjects=None if subject is None else subjects(cells.column(subject), subject),
        splits=splits,
        original_splits=original_splits,
        stamps=file_stamps(folder, files),
        are_files=True,
        left_out=unlabelled,
        notes=(
            *_notes_on_splits(cells, (split, original_split)),
            *notes_on_labels,
            *notes_on_names([info for info, _ in encoded], tasks),
        ),
    )
    return build(rows, out, about, options, progress)


def _check_below(table: Table, root: Path, paths: list[str], files: list[str]) -> None:
    inside = os.path.realpath(root)
    for row, (name, file) in enumerate(zip(paths, files, strict=True)):
        # realpath refuses a NUL byte, so that is looked for first.
        is_path = "\0" not in name and bool(name.strip())
        if not is_path or not Path(os.path.realpath(root / file)).is_relative_to(inside):
            raise InputError(
                f"{table.line(row)}: {name!r} is not a path below {root}; only files there are read"
            )


def _notes_on_splits(table: Table, columns: Sequence[str | None]) -> tuple[str, ...]:
    return tuple(
        note
        for column in columns
        if column is not None
        for note in merged_split_words(np.array(table.column(column)), f"column {column!r}")
    )


def _encode(table: Table, task: CsvTask) -> tuple[TaskInfo, NDArray[np.int64]]:
    columns = [task.columns] if isinstance(task.columns, str) else list(task.columns)
    cells = [table.column(name) for name in columns]
    if kind_of(task.target).columns:
        values, names = multilabel_values(table, task, columns, cells)
        info, values = encode_task(task.name, task.target, values, names)
        return _with_unknown_labels(info, values, values == MISSING)
    if len(cells) != 1:
        raise InputError(f"a {task.target} task has one column; {task.name!r} got {columns}")
    names_by_value = label_names(task.labels)
    unknown = np.array([says_nothing(cell, names_by_value) for cell in cells[0]])
    known_rows = np.flatnonzero(~unknown).tolist()
    info, known_values = encode_task(
        task.name,
        task.target,
        _numbers_or_names([cells[0][row] for row in known_rows], task.labels),
        task.labels,
        lambda place: f"{table.line(known_rows[place])}: the label",
        unknown=LEAVE_EMPTY,
    )
    values = np.zeros(len(unknown), np.int64)
    values[known_rows] = known_values
    return _with_unknown_labels(info, values, unknown)


def _with_unknown_labels(
    info: TaskInfo, values: NDArray[np.int64], unknown: NDArray[np.bool_]
) -> tuple[TaskInfo, NDArray[np.int64]]:
    """Declare a value for the unknown labels, if there are any: -1, or one below all labels."""
    if not unknown.any():
        return info, values
    missing_label = min(MISSING, min(info.labels) - 1)
    values = np.where(unknown, missing_label, values)
    return replace(info, missing_label=missing_label), values


def _numbers_or_names(cells: list[str], labels: LabelNames) -> NDArray[np.int64] | Texts:
    """Numbers if all cells are whole numbers, such as 2 or 2.0, and no label has such a name."""
    stripped = [cell.strip() for cell in cells]
    names = set((label_names(labels) or {}).values())
    if names.issuperset(stripped) or not all(map(WHOLE.fullmatch, stripped)):
        return np.array(stripped)
    try:
        return np.array([int(cell.partition(".")[0]) for cell in stripped], dtype=np.int64)
    except OverflowError:
        return np.array(stripped)


def _splits(table: Table, name: str | None) -> Texts | None:
    if name is None:
        return None
    return split_names(np.array(table.column(name)), f"{table.path}, column {name!r}")
