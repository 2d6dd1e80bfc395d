"""Whether rows that an interrupted conversion has written are still those of the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.rows import Row, Rows
from medimeta_adapter.convert.threaded_decoding import what_went_wrong
from medimeta_adapter.writing.disk_errors import RESTART_ADVICE
from medimeta_adapter.writing.writer import DatasetWriter
from torchcross._kit.arrays import Indices
from torchcross.errors import WriteError

__all__ = ["check_resumed", "file_stamps"]

_LOOKS = 32


def file_stamps(root: Path, names: Sequence[str]) -> Callable[[Indices], list[str]]:
    """Size and time of change of image files, for `Rows.stamps`."""
    return lambda places: [_stamp(root / names[place]) for place in places.tolist()]


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return "missing"
    return f"{found.st_size}:{found.st_mtime_ns}"


def check_resumed(
    writer: DatasetWriter, rows: Rows, decode: Callable[[Row], NDArray[np.uint8]]
) -> None:
    """Refuses to go on where a file has changed since, or any of some evenly spaced rows has other
    pixels now.
    """
    done = writer.count
    if not done:
        return
    if rows.stamps is not None:
        now = rows.stamps(np.arange(done, dtype=np.int64))
        for place, (earlier, later) in enumerate(zip(writer.stamps(), now, strict=True)):
            if earlier != later:
                raise _changed(rows, place, "the file is another one, by its size or time")
    places = np.unique(np.linspace(0, done - 1, min(done, _LOOKS)).round().astype(np.int64))
    for place, row in zip(places.tolist(), rows.read(places), strict=True):
        try:
            pixels = decode(row)
        except Exception as error:
            raise _changed(rows, place, what_went_wrong(error)) from error
        if not np.array_equal(pixels, writer.pixels(place)):
            raise _changed(rows, place, "it has other pixels now")


def _changed(rows: Rows, place: int, how: str) -> WriteError:
    return WriteError(
        f"{rows.names[place]} of {rows.kind} has changed since the conversion was interrupted:"
        f" {how}; put back what was there, or {RESTART_ADVICE}"
    )
