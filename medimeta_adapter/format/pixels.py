"""Where the pixels of a dataset are: a memory map, HDF5 chunks, or a folder of TIFF files.

The orders of axes that images.hdf5 may have are in hdf5_layouts.py.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.format.files import path_inside, regular_file_size, warnings_as_errors
from medimeta_adapter.format.hdf5 import Hdf5Array, inspect_images, open_hdf5
from medimeta_adapter.format.hdf5_layouts import Layout, channels_last, image_shapes, layout_of
from medimeta_adapter.format.info import DatasetInfo
from torchcross._kit.arrays import Indices
from torchcross.errors import DatasetFileError, ReadError

Bytes = NDArray[np.uint8]
_ROWS_AT_ONCE = 512
# LZW makes about 1340 bytes of one, and no other codec for 8 bits that Pillow reads does better.
_STRONGEST_COMPRESSION = 1500


def row_indices(indices: Any, count: int) -> Indices | None:
    """Return whole numbers within 0..count - 1 as an array, or None where it is something else."""
    try:
        rows = np.asarray(indices if hasattr(indices, "__array__") else list(indices))
    except (TypeError, ValueError, OverflowError):
        return None
    if rows.ndim != 1:
        return None
    if len(rows) and (rows.dtype.kind not in "iu" or rows.min() < 0 or rows.max() >= count):
        return None
    return rows.astype(np.int64, copy=False)


class StoredPixels(ABC):
    """uint8 images, `shape` (N, H, W) or (N, H, W, C).

    Picklable; no handle is open before a process reads.
    """

    def __init__(self, count: int, input_size: tuple[int, int, int]) -> None:
        self.channels, height, width = input_size
        self.shape: tuple[int, ...] = (count, height, width)
        if self.channels > 1:
            self.shape += (self.channels,)

    def rows(self, indices: Indices) -> Bytes:
        """Return a copy of the images at `indices`, in any order, repeats allowed."""
        images, places = self.gather(indices)
        # In the order of axes that the file has, whatever order the view of it shows.
        copy = np.empty_like(images, shape=(len(places), *images.shape[1:]))
        for position in np.argsort(places, kind="stable"):
            copy[position] = images[places[position]]
        return copy

    @abstractmethod
    def gather(self, indices: Indices) -> tuple[Bytes, Indices]:
        """Return (images, places): `images[places[i]]` is the image at `indices[i]`."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is open in this process."""
        return {
            name: value for name, value in self.__dict__.items() if not name.startswith("_open")
        }


class Hdf5Pixels(StoredPixels):
    """The dataset "images" of an HDF5 file, in any layout."""

    def __init__(self, array: Hdf5Array, input_size: tuple[int, int, int], layout: Layout) -> None:
        super().__init__(array.shape[0], input_size)
        self.array, self.layout = array, layout


class MappedPixels(Hdf5Pixels):
    """A contiguous array in a file: the operating system's page cache, and no handle at all."""

    @property
    def map(self) -> Bytes:
        """All images, read-only; pages are read as they are touched."""
        if "_open_map" not in self.__dict__:
            array = self.array
            try:
                stored = np.memmap(array.path, np.uint8, "r", array.offset or 0, array.shape)
            except (OSError, ValueError) as error:
                raise self._failure(error) from error
            # Rows of a plain array are cheaper to take than those of the subclass.
            self._open_map: Bytes = channels_last(stored.view(np.ndarray), self.layout)
        return self._open_map

    def gather(self, indices: Indices) -> tuple[Bytes, Indices]:
        images = self.map
        self._check_length()
        return images, indices

    def _check_length(self) -> None:
        """Refuse a file cut off after it was mapped: a missing page would end the process."""
        try:
            size = Path(self.array.path).stat().st_size
        except FileNotFoundError:
            # What is mapped outlives its name.
            return
        except OSError as error:
            raise self._failure(error) from error
        needed = self.array.end
        if size < needed:
            raise ReadError(
                f"{self.array.path} has {size:,} bytes, but {needed:,} or more when it was opened:"
                " it was cut off or replaced; put the whole file back, and run again"
            )

    def _failure(self, error: Exception) -> ReadError:
        return ReadError(f"{self.array.path} was readable before and is not now: {error}")


class ChunkedPixels(Hdf5Pixels):
    """Chunked or compressed HDF5: sorted, distinct rows in one read, a handle for each process."""

    def gather(self, indices: Indices) -> tuple[Bytes, Indices]:
        distinct, places = np.unique(indices, return_inverse=True)
        stored = np.empty((len(distinct), *self.array.shape[1:]), dtype=np.uint8)
        try:
            for start in range(0, len(distinct), _ROWS_AT_ONCE):
                rows = distinct[start : start + _ROWS_AT_ONCE]
                first, end = int(rows[0]), int(rows[-1]) + 1
                # h5py reads a slice much faster than the same rows as a list.
                selection = slice(first, end) if end - first == len(rows) else rows
                stored[start : start + len(rows)] = self._dataset[selection]
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ReadError(f"{self.array.path}: images cannot be read: {error}") from error
        return channels_last(stored, self.layout), places.astype(np.int64, copy=False)

    @property
    def _dataset(self) -> Any:
        """Opened once in every process: a handle does not survive a fork, and is never pickled."""
        if self.__dict__.get("_open_by") != os.getpid():
            self._open_file = open_hdf5(self.array.path, "r")
            self._open_by = os.getpid()
        return self._open_file["images"]


class TiffPixels(StoredPixels):
    """images/000000.tiff and so on, where there is no images.hdf5."""

    modes: ClassVar[dict[int, str]] = {1: "L", 3: "RGB"}

    def __init__(
        self, folder: Path, boundary: Path | None, count: int, input_size: tuple[int, int, int]
    ) -> None:
        super().__init__(count, input_size)
        self.folder, self.boundary = folder, boundary
        with os.scandir(folder / "images") as entries:
            names = {entry.name for entry in entries}
        # As many steps as there are files, whatever total_num_samples claims.
        first = next((name for name in map(_tiff_name, range(count)) if name not in names), None)
        if first is not None:
            missing = count - sum(_is_image_name(name, count) for name in names)
            raise DatasetFileError(
                f"{folder / 'images'}: {missing} of {count} images are missing (total_num_samples),"
                f" the first is {first}; there is no images.hdf5 either"
            )

    def gather(self, indices: Indices) -> tuple[Bytes, Indices]:
        distinct, places = np.unique(indices, return_inverse=True)
        # All sizes first: memory is taken for as many pixels as info.yaml claims.
        paths = [self._checked_path(index) for index in distinct.tolist()]
        images = np.empty((len(distinct), *self.shape[1:]), dtype=np.uint8)
        for position, path in enumerate(paths):
            images[position] = self._read(path)
        return images, places.astype(np.int64, copy=False)

    def _checked_path(self, index: int) -> Path:
        """Return the path of a file that can hold an image of the size that info.yaml claims."""
        path = path_inside(self.boundary, self.folder / "images" / _tiff_name(index))
        size = regular_file_size(path, "an image")
        claimed = math.prod(self.shape[1:])
        if claimed > size * _STRONGEST_COMPRESSION:
            raise DatasetFileError(
                f"{path}: a file of {size:,} bytes cannot hold the {claimed:,} of an image of"
                " input_size; it is cut off, or info.yaml is wrong"
            )
        return path

    def _read(self, path: Path) -> Bytes:
        from PIL import Image, UnidentifiedImageError

        # What Pillow's decoders raise on damaged files.
        broken = (
            *(UnidentifiedImageError, Image.DecompressionBombError, Warning, OSError),
            *(ValueError, SyntaxError, TypeError, KeyError, ArithmeticError, MemoryError),
        )
        expected = self.modes[self.channels], (self.shape[2], self.shape[1])
        try:
            with (
                warnings_as_errors(Image.DecompressionBombWarning),
                Image.open(path, formats=("TIFF",)) as image,
            ):
                if (image.mode, image.size) != expected:
                    raise DatasetFileError(
                        f"{path}: {image.mode} of (width, height) {image.size}; input_size asks for"
                        f" {expected[0]} of {expected[1]}"
                    )
                return np.asarray(image)
        except DatasetFileError:
            raise
        except broken as error:
            raise DatasetFileError(
                f"{path}: not a readable TIFF image: {str(error)[:200]}"
            ) from None


def _tiff_name(index: int) -> str:
    return f"{index:06d}.tiff"


def _is_image_name(name: str, count: int) -> bool:
    number = name.removesuffix(".tiff")
    if not (number.isdecimal() and number.isascii()):
        return False
    return int(number) < count and name == _tiff_name(int(number))


def open_pixels(folder: Path, info: DatasetInfo, boundary: Path | None = None) -> StoredPixels:
    """Open images.hdf5, or without one the folder images/.

    Headers are checked against info.yaml and the size of the file.
    """
    path = folder / "images.hdf5"
    if not os.path.lexists(path):
        if not path_inside(boundary, folder / "images").is_dir():
            raise DatasetFileError(
                f"{folder}: no images; expected images.hdf5, or a folder images/ with 000000.tiff,"
                " ..."
            )
        return TiffPixels(folder, boundary, info.total_num_samples, info.input_size)
    array = inspect_images(path_inside(boundary, path))
    layout = layout_of(array.shape, info.input_size)
    if layout is None or array.shape[0] != info.total_num_samples:
        shapes = dict.fromkeys(image_shapes(info.input_size).values())
        expected = " or ".join(str((info.total_num_samples, *shape)) for shape in shapes)
        raise DatasetFileError(
            f"{path}, images: shape {array.shape}; info.yaml says total_num_samples:"
            f" {info.total_num_samples} and input_size: {list(info.input_size)}, which is"
            f" {expected}"
        )
    kind = ChunkedPixels if array.offset is None else MappedPixels
    return kind(array, info.input_size, layout)
