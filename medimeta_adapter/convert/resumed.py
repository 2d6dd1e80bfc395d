"""Checks that the rows of an interrupted conversion are still those of the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.rows import Row, Rows, evenly_spaced
from medimeta_adapter.convert.unreadable_images import describe_error
from medimeta_adapter.writing.disk_errors import RESTART_ADVICE
from medimeta_adapter.writing.writer import DatasetWriter
from torchcross._kit.arrays import Indices
from torchcross.errors import WriteError

_LOOKS = 32


def file_stamps(root: Path, names: Sequence[str]) -> Callable[[Indices], list[str]]:
    """Size and modification time of image files, for `Rows.stamps`."""
    return lambda places: [_stamp(root / names[place]) for place in places.tolist()]


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return "missing"
    return f"{status.st_size}:{status.st_mtime_ns}"


def check_resumed(
    writer: DatasetWriter, rows: Rows, decode: Callable[[Row], NDArray[np.uint8]]
) -> None:
    """Raise if a file has changed, or if some evenly spaced rows have other pixels now."""
    done = writer.count
    if not done:
        return
    if rows.stamps is not None:
        now = rows.stamps(np.arange(done, dtype=np.int64))
        for place, (earlier, later) in enumerate(zip(writer.stamps(), now, strict=True)):
            if earlier != later:
                raise _changed_row_error(rows, place, "the size or time of the file differs")
    places = evenly_spaced(done, _LOOKS)
    for place, row in zip(places.tolist(), rows.read(places), strict=True):
        try:
            pixels = decode(row)
        except Exception as error:
            raise _changed_row_error(rows, place, describe_error(error)) from error
        if not np.array_equal(pixels, writer.pixels(place)):
            raise _changed_row_error(rows, place, "its pixels differ")


def _changed_row_error(rows: Rows, place: int, difference: str) -> WriteError:
    return WriteError(
        f"{rows.names[place]} of {rows.kind} has changed since the conversion was interrupted:"
        f" {difference}; restore the earlier file, or {RESTART_ADVICE}"
    )
