"""Arrays of an .npz file, one row at a time. Headers are checked; nothing is unpickled."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices
from torchcross._kit.npy_files import BROKEN_HEADER, read_npy_header
from torchcross._kit.user_files import check_regular
from torchcross._kit.zip_files import DAMAGED_ZIP, UNREADABLE_MEMBER
from torchcross.errors import DatasetFileError

# What is read at once: one image or volume, or all labels. Zeros pack to almost nothing.
_LARGEST_READ = 1 << 28
_ALWAYS_POSSIBLE = 1 << 20
_DAMAGE = (*BROKEN_HEADER, *UNREADABLE_MEMBER, OSError)


@dataclass(frozen=True)
class Member:
    """One array of the file; `crc` is the zip's own checksum of it."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    crc: int

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self, places: Indices) -> Iterator[NDArray[Any]]:
        """The rows at ascending places, in one pass through the file."""
        size = self.dtype.itemsize * math.prod(self.shape[1:])
        _check_size(self.path, self.name, size)
        with _open_member(self.path, self.name) as stream:
            read_npy_header(stream)
            at = 0
            for place in places.tolist():
                _skip(stream, (place - at) * size)
                content = _exactly(stream, size)
                yield np.frombuffer(content, self.dtype).reshape(self.shape[1:])
                at = place + 1

    def read_all(self) -> NDArray[Any]:
        """The whole array; for labels."""
        size = self.dtype.itemsize * math.prod(self.shape)
        _check_size(self.path, self.name, size)
        with _open_member(self.path, self.name) as stream:
            read_npy_header(stream)
            return np.frombuffer(_exactly(stream, size), self.dtype).reshape(self.shape)


def npz_members(path: Path) -> dict[str, Member]:
    """The arrays of an .npz file by name, from their headers alone."""
    try:
        check_regular(path)
        with zipfile.ZipFile(path) as file:
            announced = {entry.filename: entry for entry in file.infolist()}
            if len(announced) != len(file.infolist()) or len(announced) > 1000:
                raise DatasetFileError(
                    f"{path} holds two arrays with one name, or more than 1000; it is not a file of"
                    " images"
                )
    except (*DAMAGED_ZIP, OSError) as error:
        raise DatasetFileError(
            f"{path} is not a complete .npz file ({error}); fetch it again"
        ) from error
    members = {}
    for name, entry in announced.items():
        if name.endswith(".npy"):
            members[name.removesuffix(".npy")] = _member(path, name, entry)
    return members


def _member(path: Path, name: str, entry: zipfile.ZipInfo) -> Member:
    with _open_member(path, name) as stream:
        shape, fortran, dtype = read_npy_header(stream)
        start = stream.tell()
    if dtype.hasobject:
        raise DatasetFileError(
            f"{path}: {name} holds Python objects, which are never unpickled; save plain numbers"
        )
    if fortran and len(shape) > 1:
        raise DatasetFileError(
            f"{path}: {name} is stored by columns; save np.ascontiguousarray(array)"
        )
    size = entry.file_size
    if not shape or min(shape) < 0 or start + dtype.itemsize * math.prod(shape) != size:
        raise DatasetFileError(
            f"{path}: {name} announces {dtype} {shape} but holds {size - start} bytes; fetch it"
            " again"
        )
    if len(shape) > 2 and shape[0] > max(entry.compress_size, _ALWAYS_POSSIBLE):
        raise DatasetFileError(
            f"{path}: {name} announces {shape[0]:,} images in {entry.compress_size:,} packed bytes,"
            " fewer than one for each; they hold nothing"
        )
    return Member(path, name, shape, dtype, entry.CRC)


def _check_size(path: Path, name: str, size: int) -> None:
    if size > _LARGEST_READ:
        raise DatasetFileError(
            f"{path}: {name} has {size:,} bytes to read at once, and at most {_LARGEST_READ:,} are;"
            " save smaller images"
        )


@contextmanager
def _open_member(path: Path, name: str) -> Iterator[IO[bytes]]:
    try:
        with zipfile.ZipFile(path) as file, file.open(name) as stream:
            yield stream
    except DatasetFileError:
        raise
    except _DAMAGE as error:
        raise DatasetFileError(
            f"{path}: {name} cannot be read ({str(error)[:120]}); fetch it again"
        ) from error


def _skip(stream: IO[bytes], count: int) -> None:
    while count:
        count -= len(_exactly(stream, min(count, 1 << 20)))


def _exactly(stream: IO[bytes], count: int) -> bytes:
    content = stream.read(count)
    if len(content) != count:
        raise EOFError(f"it ends {count - len(content)} bytes early")
    return content
