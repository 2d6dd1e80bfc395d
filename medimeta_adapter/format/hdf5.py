"""The dataset "images" of an HDF5 file: what its header claims is checked against the file's size.

The orders of axes that it may have are in hdf5_layouts.py.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from medimeta_adapter.format.files import regular_file_size
from torchcross.errors import DatasetFileError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SMALLEST_USER_BLOCK = 512
_LARGEST_CHUNK = 1 << 29
# deflate makes at most 1032 bytes of one, and no filter that ships with HDF5 does better on images.
_STRONGEST_COMPRESSION = 1100
_BROKEN = (
    OSError,
    KeyError,
    ValueError,
    RuntimeError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
)


class Hdf5Array(NamedTuple):
    """An array of bytes in a file; `offset` is None where it is chunked."""

    path: str
    shape: tuple[int, ...]
    offset: int | None

    @property
    def end(self) -> int:
        """Where a contiguous array ends."""
        return (self.offset or 0) + math.prod(self.shape)


def inspect_images(path: Path) -> Hdf5Array:
    """Return the dataset "images": uint8, in this very file, no larger than the file can hold."""
    size = regular_file_size(path, "an HDF5 file")
    if not _is_signed(path, size):
        raise DatasetFileError(f"{path}: not an HDF5 file; its first bytes are not HDF5's")
    try:
        with open_hdf5(path, "r") as file:
            return _inspect(_images_of(file, path), path, size)
    except DatasetFileError:
        raise
    except BlockingIOError:
        raise DatasetFileError(
            f"{path}: another program has it open for writing and locks it; close that program"
        ) from None
    except _BROKEN as error:
        raise DatasetFileError(f"{path}: a damaged HDF5 file: {str(error)[:200]}") from None


def open_hdf5(path: Path | str, mode: str) -> Any:
    """Open a file, also where the file system has no locks: HDF5 wants one and refuses the file."""
    try:
        return h5py.File(path, mode)
    except OSError as error:
        # A BlockingIOError: there are locks, and another program has this one.
        if isinstance(error, BlockingIOError) or "unable to lock file" not in str(error):
            raise
    return h5py.File(path, mode, locking=False)


def _is_signed(path: Path, size: int) -> bool:
    """Look for HDF5's signature at byte 0, or behind a user block of 512, 1024, ... bytes."""
    place = 0
    try:
        with path.open("rb") as file:
            while place + len(_SIGNATURE) <= size:
                file.seek(place)
                if file.read(len(_SIGNATURE)) == _SIGNATURE:
                    return True
                place = 2 * place or _SMALLEST_USER_BLOCK
    except OSError as error:
        raise DatasetFileError(
            f"{path}: an HDF5 file that cannot be read: {error.strerror}"
        ) from None
    return False


def _images_of(file: Any, path: Path) -> Any:
    link = file.get("images", getlink=True)
    if link is None:
        raise DatasetFileError(
            f"{path}: no dataset 'images' in it; there are {str(list(file)[:8])[:200]}"
        )
    if not isinstance(link, h5py.HardLink):
        raise DatasetFileError(
            f"{path}, images: a link to elsewhere ({type(link).__name__}); store the images"
            " themselves"
        )
    dataset = file["images"]
    if not isinstance(dataset, h5py.Dataset):
        raise DatasetFileError(
            f"{path}, images: a {type(dataset).__name__}; expected a dataset of uint8"
        )
    if dataset.external or dataset.is_virtual:
        raise DatasetFileError(
            f"{path}, images: its bytes are in other files; store the images in this one"
        )
    if dataset.dtype != np.uint8:
        raise DatasetFileError(
            f"{path}, images: dtype {str(dataset.dtype)[:60]}; expected uint8, 0 to 255"
        )
    return dataset


def _inspect(dataset: Any, path: Path, size: int) -> Hdf5Array:
    shape = tuple(int(side) for side in dataset.shape or ())
    claimed = math.prod(shape)
    if not shape or not claimed:
        raise DatasetFileError(f"{path}, images: shape {shape}; it holds no image")
    storage = dataset.id.get_create_plist().get_layout()
    if storage == h5py.h5d.CONTIGUOUS:
        offset = dataset.id.get_offset()
        check_contiguous(offset, claimed, size, path)
        return Hdf5Array(str(path), shape, int(offset))
    if storage == h5py.h5d.CHUNKED:
        _check_chunks(dataset, claimed, size, path)
    elif claimed > size:
        raise DatasetFileError(
            f"{path}, images: claims {claimed:,} bytes, the file has {size:,}; it is cut off"
        )
    return Hdf5Array(str(path), shape, None)


def check_contiguous(offset: int | None, claimed: int, size: int, path: Path) -> None:
    if offset is None:
        raise DatasetFileError(
            f"{path}, images: announced, but never written; the file holds no pixels"
        )
    if offset + claimed > size:
        raise DatasetFileError(
            f"{path}, images: claims {claimed:,} bytes from byte {offset:,} on, the file has"
            f" {size:,}; it is cut off"
        )


def _check_chunks(dataset: Any, claimed: int, size: int, path: Path) -> None:
    chunk = math.prod(dataset.chunks)
    if chunk > _LARGEST_CHUNK:
        raise DatasetFileError(
            f"{path}, images: chunks of {chunk:,} bytes, all of which one image would need; store"
            " one image a chunk"
        )
    is_plain = dataset.id.get_create_plist().get_nfilters() == 0
    if claimed > size * _STRONGEST_COMPRESSION or (is_plain and max(claimed, chunk) > size):
        raise DatasetFileError(
            f"{path}, images: claims {claimed:,} bytes, more than a file of {size:,} can hold"
        )
    expected = math.prod(
        -(-side // step) for side, step in zip(dataset.shape, dataset.chunks, strict=True)
    )
    written = dataset.id.get_num_chunks()
    if written != expected:
        raise DatasetFileError(
            f"{path}, images: {written} of {expected} chunks were written; the rest is missing"
        )
    _check_filters(dataset, path)


def _check_filters(dataset: Any, path: Path) -> None:
    properties = dataset.id.get_create_plist()
    for place in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(place)
        if not h5py.h5z.filter_avail(code):
            raise DatasetFileError(
                f"{path}, images: compressed with {name!r:.60} (HDF5 filter {code}), which is not"
                " installed; rewrite it with gzip, or import the plugin (e.g. hdf5plugin) first"
            )
