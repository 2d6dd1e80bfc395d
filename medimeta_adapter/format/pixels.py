"""Where the pixels of a dataset lie, whatever the layout: a memory map, HDF5 chunks, or a folder of
TIFF files.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.format.files import inside, raised_warnings, regular_size
from medimeta_adapter.format.hdf5 import Stored, inspect
from medimeta_adapter.format.info import DatasetInfo
from torchcross._kit.arrays import Indices
from torchcross.errors import DatasetFileError, ReadError

__all__ = [
    "Bytes",
    "ChunkedPixels",
    "Layout",
    "MappedPixels",
    "Pixels",
    "TiffPixels",
    "checked_rows",
    "layout_of",
    "open_pixels",
]

Bytes = NDArray[np.uint8]
Layout = Literal["NHW", "NHWC", "NCHW", "N1HW"]
_AT_ONCE = 512


def layout_of(shape: tuple[int, ...], input_size: tuple[int, int, int]) -> Layout | None:
    """Which axis is which, or None where the shape fits no layout.

    Channels last goes first where both fit (3 x 3 RGB), as the published writer lays images out.
    """
    channels, height, width = input_size
    rest = shape[1:]
    if channels == 1 and rest == (height, width):
        return "NHW"
    if rest == (height, width, channels):
        return "NHWC"
    if rest == (channels, height, width):
        return "N1HW" if channels == 1 else "NCHW"
    return None


def checked_rows(indices: Any, count: int) -> Indices | None:
    """One row of whole numbers within 0..count - 1, or None where it is something else."""
    try:
        wanted = np.asarray(indices if hasattr(indices, "__array__") else list(indices))
    except (TypeError, ValueError, OverflowError):
        return None
    if wanted.ndim != 1 or (
        len(wanted) and (wanted.dtype.kind not in "iu" or wanted.min() < 0 or wanted.max() >= count)
    ):
        return None
    return wanted.astype(np.int64, copy=False)


class Pixels(ABC):
    """uint8 images, `shape` (N, H, W) or (N, H, W, C). Picklable; no handle is open until a process
    reads.
    """

    def __init__(self, count: int, input_size: tuple[int, int, int], layout: Layout) -> None:
        channels, height, width = input_size
        self.shape: tuple[int, ...] = (
            (count, height, width) if channels == 1 else (count, height, width, channels)
        )
        self.channels = channels
        self.layout = layout

    def rows(self, indices: Indices, out: Bytes | None = None) -> Bytes:
        """A copy of the images at `indices` (any order, repeats allowed), (n, H, W) or (n, H, W,
        C).
        """
        stored, places = self.gather(indices)
        planes = self.layout == "NCHW"
        found: Bytes = (
            np.empty((len(places), *stored.shape[1:]), dtype=np.uint8)
            if planes or out is None
            else out
        )
        for at in np.argsort(places, kind="stable"):
            found[at] = stored[places[at]]
        found = np.moveaxis(found, 1, -1) if planes else found
        if out is not None and planes:
            out[...] = found
            return out
        return found

    @abstractmethod
    def gather(self, indices: Indices) -> tuple[Bytes, Indices]:
        """(images, places): images[places[i]] is image i of those asked for; (H, W), (H, W, C), in
        NCHW (C, H, W).
        """

    def __getstate__(self) -> dict[str, Any]:
        """Without what is open in this process."""
        return {
            name: value for name, value in self.__dict__.items() if not name.startswith("_open")
        }


class MappedPixels(Pixels):
    """A contiguous array in a file: the operating system's page cache, and no handle at all."""

    def __init__(
        self, path: Path, stored: Stored, input_size: tuple[int, int, int], layout: Layout
    ) -> None:
        super().__init__(stored.shape[0], input_size, layout)
        assert stored.offset is not None
        self.path, self.offset = str(path), stored.offset
        self._stored_shape = (*self.shape[:1], *input_size) if layout == "NCHW" else self.shape

    @property
    def map(self) -> Bytes:
        """The whole file as an array, read-only; pages are read as they are touched."""
        if "_open_map" not in self.__dict__:
            try:
                opened = np.memmap(self.path, np.uint8, "r", self.offset, self._stored_shape)
            except (OSError, ValueError) as error:
                raise ReadError(
                    f"{self.path} was readable before and is not now: {error}"
                ) from error
            # Without the subclass, every row is cheaper to take.
            self._open_map: Bytes = opened.view(np.ndarray)
        return self._open_map

    def gather(self, indices: Indices) -> tuple[Bytes, Indices]:
        stored = self.map
        self._check_length()
        return stored, indices

    def _check_length(self) -> None:
        """A file that was cut off after it was mapped would end the process at the first page that
        is gone.
        """
        try:
            size = Path(self.path).stat().st_size
        except FileNotFoundError:
            # What is mapped outlives its name.
            return
        except OSError as error:
            raise ReadError(f"{self.path} was readable before and is not now: {error}") from error
        needed = self.offset + math.prod(self._stored_shape)
        if size < needed:
            raise ReadError(
                f"{self.path} has {size:,} bytes and had {needed:,} or more when it was opened: it"
                " was cut off or replaced; put the whole file back, and run again"
            )


class ChunkedPixels(Pixels):
    """Chunked or compressed HDF5: sorted, distinct rows in one read; each process opens the file
    for itself.
    """

    def __init__(
        self, path: Path, stored: Stored, input_size: tuple[int, int, int], layout: Layout
    ) -> None:
        super().__init__(stored.shape[0], input_size, layout)
        self.path, self._stored_shape = str(path), stored.shape

    def gather(self, indices: Indices) -> tuple[Bytes, Indices]:
        distinct, places = np.unique(indices, return_inverse=True)
        found = np.empty((len(distinct), *self._stored_shape[1:]), dtype=np.uint8)
        try:
            for start in range(0, len(distinct), _AT_ONCE):
                rows = distinct[start : start + _AT_ONCE]
                whole = len(rows) == rows[-1] - rows[0] + 1
                found[start : start + len(rows)] = self._dataset[
                    slice(int(rows[0]), int(rows[-1]) + 1) if whole else rows
                ]
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ReadError(f"{self.path}: images cannot be read: {error}") from error
        flat = found.reshape(len(distinct), *self.shape[1:]) if self.layout != "NCHW" else found
        return flat, places.astype(np.int64, copy=False)

    @property
    def _dataset(self) -> Any:
        """Opened once in every process: a handle does not survive a fork, and is never pickled."""
        if self.__dict__.get("_open_by") != os.getpid():
            self._open_file = h5py.File(self.path, "r")
            self._open_by = os.getpid()
        return self._open_file["images"]


class TiffPixels(Pixels):
    """images/000000.tiff and so on, where there is no images.hdf5."""

    modes: ClassVar[dict[int, str]] = {1: "L", 3: "RGB"}

    def __init__(
        self, folder: Path, boundary: Path | None, count: int, input_size: tuple[int, int, int]
    ) -> None:
        super().__init__(count, input_size, "NHW" if input_size[0] == 1 else "NHWC")
        self.folder, self.boundary = folder, boundary
        with os.scandir(folder / "images") as entries:
            present = {entry.name for entry in entries}
        # As many steps as there are files, whatever total_num_samples claims.
        first = next((name for name in map(_tiff_name, range(count)) if name not in present), None)
        if first is not None:
            missing = count - sum(_is_row(name, count) for name in present)
            raise DatasetFileError(
                f"{folder / 'images'}: {missing} of {count} images are missing (total_num_samples),"
                f" the first is {first}; there is no images.hdf5 either"
            )

    def gather(self, indices: Indices) -> tuple[Bytes, Indices]:
        distinct, places = np.unique(indices, return_inverse=True)
        found = np.empty((len(distinct), *self.shape[1:]), dtype=np.uint8)
        for at, index in enumerate(distinct.tolist()):
            found[at] = self._read(index)
        return found, places.astype(np.int64, copy=False)

    def _read(self, index: int) -> Bytes:
        from PIL import Image, UnidentifiedImageError

        path = inside(self.boundary, self.folder / "images" / _tiff_name(index))
        regular_size(path, "an image")
        broken = (
            UnidentifiedImageError,
            OSError,
            ValueError,
            SyntaxError,
            TypeError,
            KeyError,
            ArithmeticError,
        )
        try:
            with (
                raised_warnings(Image.DecompressionBombWarning),
                Image.open(path, formats=("TIFF",)) as image,
            ):
                expected = self.modes[self.channels], (self.shape[2], self.shape[1])
                if (image.mode, image.size) != expected:
                    raise DatasetFileError(
                        f"{path}: {image.mode} of (width, height) {image.size}; input_size asks for"
                        f" {expected[0]} of {expected[1]}"
                    )
                return np.asarray(image)
        except DatasetFileError:
            raise
        except (*broken, Image.DecompressionBombError, Warning) as error:
            raise DatasetFileError(
                f"{path}: not a readable TIFF image: {str(error)[:200]}"
            ) from None


def _tiff_name(index: int) -> str:
    return f"{index:06d}.tiff"


def _is_row(name: str, count: int) -> bool:
    number = name.removesuffix(".tiff")
    return (
        number.isdecimal()
        and number.isascii()
        and int(number) < count
        and name == _tiff_name(int(number))
    )


def open_pixels(folder: Path, info: DatasetInfo, boundary: Path | None = None) -> Pixels:
    """images.hdf5, or without one the folder images/; headers are checked against info.yaml and the
    file's size.
    """
    path = folder / "images.hdf5"
    if not os.path.lexists(path):
        images = inside(boundary, folder / "images")
        if images.is_dir():
            return TiffPixels(folder, boundary, info.total_num_samples, info.input_size)
        raise DatasetFileError(
            f"{folder}: no images; expected images.hdf5, or a folder images/ with 000000.tiff, ..."
        )
    stored = inspect(inside(boundary, path))
    layout = layout_of(stored.shape, info.input_size)
    channels, height, width = info.input_size
    if layout is None or stored.shape[0] != info.total_num_samples:
        last = f" or ({info.total_num_samples}, {height}, {width})" if channels == 1 else ""
        raise DatasetFileError(
            f"{path}, images: shape {stored.shape}; info.yaml says total_num_samples:"
            f" {info.total_num_samples} and input_size: {list(info.input_size)}, which is"
            f" ({info.total_num_samples}, {height}, {width}, {channels}),"
            f" ({info.total_num_samples}, {channels}, {height}, {width}){last}"
        )
    kind = ChunkedPixels if stored.offset is None else MappedPixels
    return kind(path, stored, info.input_size, layout)
