"""images.hdf5, written without a second copy of its pixels and without knowing how many there will
be.

Pixels go straight to their place behind the room that HDF5's header takes; on closing, h5py makes a
header for the final shape (a sparse file), and its bytes are put in front. Where they do not agree,
h5py copies the pixels instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.writing.disk_errors import sync_data
from torchcross.errors import WriteError

__all__ = ["PixelFile"]

DATASET = "images"
_BLOCK = 1 << 24


class PixelFile:
    """Rows of uint8 pixels at known places; `write` may be called by many threads at once."""

    def __init__(self, path: Path, image_shape: tuple[int, ...]) -> None:
        self.path = path
        self.image_shape = image_shape
        self.row_bytes = int(np.prod(image_shape))
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._made = path.with_name(f".{path.name}.header")
        start, _ = _make_empty(self._made, (1, *image_shape))
        self.start = _start_of(path, start)

    def rows(self) -> int:
        """How many whole rows the file has room for already."""
        return max(0, os.fstat(self._file).st_size - self.start) // self.row_bytes

    def write(self, row: int, pixels: NDArray[np.uint8]) -> None:
        """Write contiguous pixels from row `row` on."""
        left = pixels.data.cast("B")
        place = self.start + row * self.row_bytes
        while left:
            written = os.pwrite(self._file, left, place)
            left, place = left[written:], place + written

    def read(self, row: int, rows: int = 1) -> bytes:
        data = os.pread(self._file, rows * self.row_bytes, self.start + row * self.row_bytes)
        if len(data) != rows * self.row_bytes:
            raise WriteError(
                f"{self.path} ends before row {row + rows}; it was changed while it was written"
            )
        return data

    def sync(self) -> None:
        """Make what was written outlast a power cut."""
        sync_data(self._file)

    def finish(self, rows: int) -> None:
        """Make the file HDF5: one dataset of `rows` images, contiguous, uncompressed."""
        os.ftruncate(self._file, self.start + rows * self.row_bytes)
        start, size = _make_empty(self._made, (rows, *self.image_shape))
        if start == self.start:
            self._put_in_front(start, start + rows * self.row_bytes, size)
            self._made.unlink()
        else:
            self._copy_over(rows)
        os.fsync(self._file)
        _check(self.path, (rows, *self.image_shape), self.row_bytes, self._ends(rows))

    def _put_in_front(self, start: int, end: int, size: int) -> None:
        with self._made.open("rb") as made:
            for place, length in ((0, start), (end, size - end)):
                made.seek(place)
                os.pwrite(self._file, made.read(length), place)

    def _copy_over(self, rows: int) -> None:
        """Into h5py's own file, block by block; it takes the place of this one."""
        with h5py.File(self._made, "r+") as file:
            for first, block in self._blocks(rows):
                file[DATASET][first : first + len(block)] = block
        self._made.replace(self.path)
        os.close(self._file)
        self._file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        with h5py.File(self.path, "r") as file:
            self.start = file[DATASET].id.get_offset()

    def _blocks(self, rows: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        step = max(1, _BLOCK // self.row_bytes)
        for first in range(0, rows, step):
            count = min(step, rows - first)
            yield (
                first,
                np.frombuffer(self.read(first, count), np.uint8).reshape(count, *self.image_shape),
            )

    def _ends(self, rows: int) -> list[tuple[int, bytes]]:
        return [(row, self.read(row)) for row in {0, rows - 1}]

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _start_of(path: Path, otherwise: int) -> int:
    """Where the pixels of a file start that an earlier build had finished already."""
    try:
        with h5py.File(path, "r") as file:
            return int(file[DATASET].id.get_offset())
    except (OSError, KeyError):
        return otherwise


def _make_empty(path: Path, shape: tuple[int, ...]) -> tuple[int, int]:
    """An HDF5 file with unwritten room for the images; returns where they start and the file's
    size.
    """
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    properties.set_obj_track_times(False)
    path.unlink(missing_ok=True)
    with h5py.File(path, "w") as file:
        space = h5py.h5s.create_simple(shape)
        dataset = h5py.h5d.create(file.id, DATASET.encode(), h5py.h5t.STD_U8LE, space, properties)
        start = int(dataset.get_offset())
    return start, path.stat().st_size


def _check(
    path: Path, shape: tuple[int, ...], row_bytes: int, rows: list[tuple[int, bytes]]
) -> None:
    """What h5py reads is what was written."""
    with h5py.File(path, "r") as file:
        dataset: Any = file[DATASET]
        if dataset.shape != shape or dataset.dtype != np.uint8 or dataset.chunks is not None:
            raise WriteError(
                f"{path} came out as {dataset!r}, not as {shape} uint8; report this with your h5py"
                " version"
            )
        if any(dataset[row].tobytes() != pixels for row, pixels in rows):
            raise WriteError(
                f"{path} does not read back as written; report this with your h5py version"
            )
