"""task_labels/<task name>.npy: header before content, no pickles, every value one of the task's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.format.files import regular_file_size
from medimeta_adapter.format.info import TaskInfo
from torchcross._kit.npy_files import read_npy_header
from torchcross.errors import DatasetFileError

_DESCRIPTION = "an array of labels"
_SHOWN = 5


def read_labels(path: Path, task: TaskInfo, count: int) -> NDArray[np.int64]:
    """Return the labels of `count` samples: (count,), or (count, L) for a multi-label task."""
    size = regular_file_size(path, _DESCRIPTION)
    try:
        with path.open("rb") as file:
            shape, is_fortran, dtype = read_npy_header(file)
            _check_header(shape, dtype, task, count, path)
            _check_size(shape, dtype, size - file.tell(), path)
            flat = np.frombuffer(file.read(math.prod(shape) * dtype.itemsize), dtype=dtype)
    except OSError as error:
        raise DatasetFileError(f"{path}: {_DESCRIPTION} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DatasetFileError(f"{path}: {error}") from None
    if len(flat) != math.prod(shape):
        raise DatasetFileError(
            f"{path}: the file ends within its {math.prod(shape)} values; it is cut off"
        )
    stored = flat.reshape(shape, order="F" if is_fortran else "C")
    if not task.multilabel:
        stored = stored.reshape(count)
    return _label_values(stored, task, path)


def _check_header(
    shape: tuple[int, ...], dtype: np.dtype[Any], task: TaskInfo, count: int, path: Path
) -> None:
    if dtype.hasobject:
        raise DatasetFileError(
            f"{path}: an array of Python objects (a pickle), which is never loaded; save integers: "
            "numpy.save(path, labels.astype('int64'))"
        )
    if dtype.kind not in "biuf" or dtype.subdtype is not None:
        raise DatasetFileError(
            f"{path}: dtype {str(dtype)[:60]}; labels are integers (or booleans, or integral"
            " floats)"
        )
    allowed = [(count, task.num_labels)] if task.multilabel else [(count,), (count, 1)]
    if shape not in allowed:
        raise DatasetFileError(
            f"{path}: shape {str(shape)[:60]}; the task {task.name!r} ({task.task_target}) of"
            f" {count} samples (total_num_samples) has labels of shape {allowed[0]}"
        )


def _check_size(shape: tuple[int, ...], dtype: np.dtype[Any], held: int, path: Path) -> None:
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != held:
        raise DatasetFileError(
            f"{path}: the header claims {claimed:,} bytes of {dtype}, the file holds {held:,}"
        )


def _label_values(stored: NDArray[Any], task: TaskInfo, path: Path) -> NDArray[np.int64]:
    """Return labels as they are stored, as integers, each one of the task's."""
    if stored.dtype.kind == "f":
        unknown = ~np.isfinite(stored)
        _refuse(
            unknown, stored, "no number; an unknown label is the missing_label of its task", path
        )
        fractional = np.floor(stored) != stored
        too_large = np.abs(stored.astype(np.float64)) >= 2.0**31
        _refuse(fractional | too_large, stored, "no integer label", path)
    elif stored.dtype.kind == "u":
        _refuse(stored > np.iinfo(np.int32).max, stored, "too large a label", path)
    values = stored.astype(np.int64)
    unknown_label = [] if task.missing_label is None else [task.missing_label]
    known_labels = [0, 1] if task.multilabel else [*task.labels]
    keys = np.array(sorted([*known_labels, *unknown_label]), dtype=np.int64)
    nearest = keys[np.minimum(np.searchsorted(keys, values), len(keys) - 1)]
    problem = f"outside the labels of task {task.name!r}, {_label_list(keys, task)}"
    _refuse(nearest != values, stored, problem, path)
    return values


def _label_list(keys: NDArray[np.int64], task: TaskInfo) -> str:
    if task.multilabel:
        return "0 or 1" if task.missing_label is None else f"0, 1 or {task.missing_label} (unknown)"
    more = ", ..." if len(keys) > 12 else ""
    return f"one of {', '.join(map(str, keys[:12]))}{more}"


def _refuse(wrong: NDArray[np.bool_], labels: NDArray[Any], problem: str, path: Path) -> None:
    if not wrong.any():
        return
    places = np.argwhere(wrong)
    listed = [
        f"row {', column '.join(map(str, place))}: {labels[tuple(place)]}"
        for place in places[:_SHOWN]
    ]
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    raise DatasetFileError(f"{path}: {problem}: {', '.join(listed)}{more}")
