"""What an HDF5 file says about its dataset "images", believed only as far as the file's size bears
it out.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from medimeta_adapter.format.files import regular_size
from torchcross.errors import DatasetFileError

__all__ = ["Stored", "inspect"]

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


class Stored(NamedTuple):
    """An array of bytes in a file; `offset` where it lies in one piece, None where it is
    chunked.
    """

    shape: tuple[int, ...]
    offset: int | None


def inspect(path: Path) -> Stored:
    """The dataset "images": uint8, in this very file, and no larger than the file can hold."""
    size = regular_size(path, "an HDF5 file")
    if not _is_signed(path, size):
        raise DatasetFileError(f"{path}: not an HDF5 file; its first bytes are not HDF5's")
    try:
        with h5py.File(path, "r") as opened:
            return _dataset(opened, path, size)
    except DatasetFileError:
        raise
    except _BROKEN as error:
        raise DatasetFileError(f"{path}: a damaged HDF5 file: {str(error)[:200]}") from None


def _is_signed(path: Path, size: int) -> bool:
    """HDF5's signature stands at byte 0, or after a user block of 512, 1024, 2048, ... bytes."""
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


def _dataset(opened: Any, path: Path, size: int) -> Stored:
    link = opened.get("images", getlink=True)
    if link is None:
        raise DatasetFileError(
            f"{path}: no dataset 'images' in it; there are {str(list(opened)[:8])[:200]}"
        )
    if not isinstance(link, h5py.HardLink):
        raise DatasetFileError(
            f"{path}, images: a link to elsewhere ({type(link).__name__}); store the images"
            " themselves"
        )
    dataset = opened["images"]
    if not isinstance(dataset, h5py.Dataset):
        raise DatasetFileError(
            f"{path}, images: a {type(dataset).__name__}; expected a dataset of uint8"
        )
    if dataset.external or dataset.is_virtual:
        raise DatasetFileError(
            f"{path}, images: its bytes lie in other files; store the images in this one"
        )
    if dataset.dtype != np.uint8:
        raise DatasetFileError(
            f"{path}, images: dtype {str(dataset.dtype)[:60]}; expected uint8, 0 to 255"
        )
    shape = tuple(int(side) for side in dataset.shape or ())
    claimed = math.prod(shape)
    if not shape or not claimed:
        raise DatasetFileError(f"{path}, images: shape {shape}; it holds no image")
    layout = dataset.id.get_create_plist().get_layout()
    offset = dataset.id.get_offset() if layout == h5py.h5d.CONTIGUOUS else None
    if layout == h5py.h5d.CONTIGUOUS:
        _check_contiguous(offset, claimed, size, path)
    elif layout == h5py.h5d.CHUNKED:
        _check_chunks(dataset, claimed, size, path)
    elif claimed > size:
        raise DatasetFileError(
            f"{path}, images: claims {claimed:,} bytes, the file has {size:,}; it is cut off"
        )
    return Stored(shape, None if offset is None else int(offset))


def _check_contiguous(offset: int | None, claimed: int, size: int, path: Path) -> None:
    if offset is None:
        raise DatasetFileError(
            f"{path}, images: announced, and never written; the file holds no pixels"
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
