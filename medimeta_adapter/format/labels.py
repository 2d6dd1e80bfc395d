"""task_labels/<task name>.npy: header before content, no pickles, every value one of the task's."""

from __future__ import annotations

import math
import re
import warnings
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from medimeta_adapter.format.files import regular_size
from medimeta_adapter.format.info import TaskInfo
from torchcross.errors import DatasetFileError

__all__ = ["BROKEN_HEADER", "read_labels"]

_LONGEST_HEADER = 4096
_WHAT = "an array of labels"
_SHOWN = 5
# What numpy's reading of a header, an expression in Python's grammar, was seen to raise on noise.
BROKEN_HEADER = (
    *(
        ValueError,
        TypeError,
        SyntaxError,
        RecursionError,
        MemoryError,
        OverflowError,
        KeyError,
        EOFError,
    ),
    TokenError,
)


def read_labels(path: Path, task: TaskInfo, count: int) -> NDArray[np.int64]:
    """The labels of `count` samples: (count,), or (count, L) zeros and ones for a multi-label
    task.
    """
    size = regular_size(path, _WHAT)
    try:
        with path.open("rb") as file:
            shape, fortran, dtype = _header(file, path)
            _check_header(shape, dtype, task, count, path)
            _check_size(shape, dtype, size - file.tell(), path)
            flat = np.frombuffer(file.read(math.prod(shape) * dtype.itemsize), dtype=dtype)
    except OSError as error:
        raise DatasetFileError(f"{path}: {_WHAT} cannot be read: {error.strerror}") from None
    if len(flat) != math.prod(shape):
        raise DatasetFileError(
            f"{path}: the file ends within its {math.prod(shape)} values; it is cut off"
        )
    found = flat.reshape(shape, order="F" if fortran else "C")
    values = found[:, 0] if found.ndim == 2 and not task.multilabel else found
    return _checked(values, task, path)


def _header(file: BinaryIO, path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and dtype; at most `_LONGEST_HEADER` bytes are looked at."""
    start = file.read(12)
    if start[:6] != npy.MAGIC_PREFIX:
        raise DatasetFileError(
            f"{path}: not an .npy file (it begins with {start[:6]!r}); write it with numpy.save"
        )
    long = start[6:7] != b"\x01"
    length = int.from_bytes(start[8:12] if long else start[8:10], "little")
    if start[6:8] not in (b"\x01\x00", b"\x02\x00", b"\x03\x00") or length > _LONGEST_HEADER:
        raise DatasetFileError(
            f"{path}: an .npy header of version {start[6:8]!r} and {length:,} bytes; expected"
            f" version 1 to 3 and at most {_LONGEST_HEADER:,}"
        )
    begin = 12 if long else 10
    file.seek(0)
    head = BytesIO(file.read(begin + length))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            npy.read_magic(head)
            read = npy.read_array_header_1_0 if not long else npy.read_array_header_2_0
            return read(head, max_header_size=_LONGEST_HEADER)
    except BROKEN_HEADER as error:
        # An address in memory is another one the next time.
        told = re.sub(r" at 0x[0-9a-f]+", "", str(error))[:120]
        raise DatasetFileError(f"{path}: a broken .npy header: {told}") from None


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


def _check_size(shape: tuple[int, ...], dtype: np.dtype[Any], left: int, path: Path) -> None:
    claimed = math.prod(shape) * dtype.itemsize
    if claimed != left:
        raise DatasetFileError(
            f"{path}: the header claims {claimed:,} bytes of {dtype}, the file holds {left:,}"
        )


def _checked(found: NDArray[Any], task: TaskInfo, path: Path) -> NDArray[np.int64]:
    if found.dtype.kind == "f":
        whole = np.isfinite(found)
        _refuse(~whole, found, "no number; the format has no unknown labels", path)
        _refuse(
            (np.floor(found) != found) | (np.abs(found.astype(np.float64)) >= 2.0**31),
            found,
            "no integer label",
            path,
        )
    elif found.dtype.kind == "u":
        _refuse(found > np.iinfo(np.int32).max, found, "too large a label", path)
    values = found.astype(np.int64)
    keys = np.array([0, 1] if task.multilabel else sorted(task.labels), dtype=np.int64)
    nearest = keys[np.minimum(np.searchsorted(keys, values), len(keys) - 1)]
    allowed = (
        "0 or 1"
        if task.multilabel
        else f"one of {', '.join(map(str, keys[:12]))}{', ...' if len(keys) > 12 else ''}"
    )
    _refuse(nearest != values, found, f"outside the labels of task {task.name!r}, {allowed}", path)
    return values


def _refuse(wrong: NDArray[np.bool_], found: NDArray[Any], why: str, path: Path) -> None:
    if not wrong.any():
        return
    places = np.argwhere(wrong)
    shown = ", ".join(
        f"row {', column '.join(map(str, place))}: {found[tuple(place)]}"
        for place in places[:_SHOWN]
    )
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    raise DatasetFileError(f"{path}: {why}: {shown}{more}")
