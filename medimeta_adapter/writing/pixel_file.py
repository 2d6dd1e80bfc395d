"""images.hdf5: h5py creates it for the announced number of images, pixels go to their places.

Where the number was not announced, or another number was written, the pixels are copied once, into
a file of the right size.
"""

from __future__ import annotations

import errno
import os
import re
import threading
from math import prod
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.format.hdf5 import open_hdf5
from medimeta_adapter.writing.disk_errors import sync_data
from torchcross.errors import WriteError

_DATASET = "images"
_BLOCK_BYTES = 1 << 24
_ERROR_NUMBER = re.compile(r"errno = (\d+)")


def create_pixel_file(path: Path, shape: tuple[int, ...]) -> None:
    """Create an HDF5 file with one contiguous dataset of uint8, its pixels not yet written."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    # Space at once and no fill value: the offset is known, and the file sparse where it can be.
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    # Without times, two files of the same images have the same bytes.
    properties.set_obj_track_times(False)
    try:
        with open_hdf5(path, "w") as file:
            space = h5py.h5s.create_simple(shape)
            h5py.h5d.create(file.id, _DATASET.encode(), h5py.h5t.STD_U8LE, space, properties)
    except (OSError, RuntimeError) as error:
        raise _disk_error(path, error) from error


def _disk_error(path: Path, error: Exception) -> OSError:
    """Return the error of the system: HDF5 raises a RuntimeError where it writes as it closes."""
    match = _ERROR_NUMBER.search(str(error))
    number = getattr(error, "errno", None) or (int(match[1]) if match else errno.EIO)
    return OSError(number, os.strerror(number), str(path))


class PixelFile:
    """Rows of uint8 pixels at known places; many threads may write and read at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_hdf5(path, "r") as file:
            self._rows, *image_shape = map(int, file[_DATASET].shape)
            self._start = int(file[_DATASET].id.get_offset())
        self.image_shape: tuple[int, ...] = tuple(image_shape)
        self.row_bytes = prod(image_shape)
        self._file = path.open("r+b", buffering=0)
        # Seeking and writing are two calls, since Windows has no `pwrite`: one thread at a time.
        self._turn = threading.Lock()

    @property
    def room(self) -> int:
        """How many whole rows the file has room for; it grows when a later row is written."""
        return (os.fstat(self._file.fileno()).st_size - self._start) // self.row_bytes

    def write(self, row: int, pixels: NDArray[np.uint8]) -> None:
        """Write contiguous pixels from row `row` on."""
        remaining = pixels.data.cast("B")
        with self._turn:
            self._file.seek(self._start + row * self.row_bytes)
            while remaining:
                remaining = remaining[self._file.write(remaining) :]

    def read(self, row: int, rows: int = 1) -> bytes:
        with self._turn:
            self._file.seek(self._start + row * self.row_bytes)
            pixels = self._file.read(rows * self.row_bytes)
        if len(pixels) != rows * self.row_bytes:
            raise WriteError(
                f"{self.path} ends before row {row + rows}; it was changed while it was written"
            )
        return pixels

    def sync(self) -> None:
        """Make what was written outlast a power cut."""
        sync_data(self._file.fileno())

    def with_rows(self, rows: int) -> PixelFile:
        """Return a file of exactly `rows` images: this one, or a copy that takes its place."""
        if rows == self._rows:
            return self
        path = self.path.with_name(f".{self.path.name}.part")
        create_pixel_file(path, (rows, *self.image_shape))
        copy = PixelFile(path)
        step = max(1, _BLOCK_BYTES // self.row_bytes)
        for first in range(0, rows, step):
            block = self.read(first, min(step, rows - first))
            copy.write(first, np.frombuffer(block, np.uint8))
        # Windows renames no file that is open.
        copy.close()
        self.close()
        path.replace(self.path)
        return PixelFile(self.path)

    def close(self) -> None:
        self._file.close()
