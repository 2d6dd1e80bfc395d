"""Decoded images in one file, which processes map into memory.

4,096 bytes of JSON, the images, and for each image the stamp of its file (2 x int64), the CRC-32 of
its pixels (uint32) and its flags (uint8); in the end the SHA-256 of all but the images. The file is
written whole, by the process that has the lock beside it; others decode what they need meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.backgrounds import Background
from torchcross._kit.lock import acquire_lock
from torchcross._kit.surroundings import installed_version
from torchcross._kit.threads import results_in_order
from torchcross._kit.whole_files import open_whole, remove_abandoned
from torchcross.data.sources.decoded_images import (
    HELD,
    UNKNOWN,
    Decode,
    DecodedImages,
    Stamp,
    decode_image,
    flags_of,
    remark_of,
    stamp_of,
)
from torchcross.data.sources.flattening import Remark
from torchcross.data.sources.images import Mode, Size
from torchcross.errors import ReadError, SourceError

logger = logging.getLogger("torchcross")

_HEADER: Final = 4096
_START: Final = b'{"format": "torchcross decoded images"'
_READER: Final = 2
"""Another number where the same file becomes other bytes."""
_ROW: Final = np.dtype([("stamp", "<i8", (2,)), ("crc", "<u4"), ("flags", "u1")])
_MOST_THREADS: Final = 8


@dataclass(frozen=True)
class _Mapped:
    images: NDArray[np.uint8]
    rows: NDArray[Any]

    def fill(self, place: int, stamp: Stamp, out: NDArray[np.uint8]) -> bool:
        """Fill `out` with the image of a file with this stamp; False where it is not here."""
        row = self.rows[place]
        if stamp == UNKNOWN or tuple(row["stamp"].tolist()) != stamp or not row["flags"] & HELD:
            return False
        out[:] = self.images[place]
        return zlib.crc32(out.data) == int(row["crc"])

    def remark(self, place: int) -> Remark:
        return remark_of(int(self.rows["flags"][place]))


@final
class FileImages(DecodedImages):
    """In a file for all processes; it is made when an image is read first.

    It is made again where an image's file, the list of files, the size, the mode, the background,
    the bits or the version of Pillow changed. Images whose files are as before are copied.
    """

    def __init__(
        self,
        file: Path,
        root: Path,
        paths: Sequence[Path],
        mode: Mode,
        size: Size,
        reading: tuple[Background, int | None],
    ) -> None:
        super().__init__(paths, mode, size)
        self.file = file.absolute()
        names = [path.relative_to(root).as_posix() for path in paths]
        options = [_READER, installed_version("pillow"), mode, size, reading, names]
        text = json.dumps(options, ensure_ascii=True)
        self._key = hashlib.sha256(text.encode()).hexdigest()
        self._mapped: _Mapped | None = None
        self._is_current = False
        self._seen: Stamp | None = None
        _refuse_file_of_somebody_else(self.file)

    def _fill(self, place: int, out: NDArray[np.uint8], decode: Decode) -> Remark:
        mapped = self._current(decode)
        # `out` is filled now: a file may change at any time.
        if mapped is not None and mapped.fill(place, stamp_of(self.paths[place]), out):
            return mapped.remark(place)
        out[:], remark = decode_image(place, decode)
        return remark

    def __getstate__(self) -> dict[str, Any]:
        """Without the map: a process that gets a copy of the source opens its own."""
        return {**self.__dict__, "_mapped": None, "_is_current": False, "_seen": None}

    # -- the file ----------------------------------------------------------------------------------

    def _current(self, decode: Decode) -> _Mapped | None:
        """The file as it should be; while another process makes it, as it was, or None."""
        if not self._is_current and stamp_of(self.file) != self._seen:
            self._mapped = self._open()
            self._is_current = self._holds_all(self._mapped)
            if not self._is_current:
                self._make(decode)
        return self._mapped

    def _make(self, decode: Decode) -> None:
        try:
            lock = acquire_lock(self.file.with_name(f"{self.file.name}.lock"))
        except OSError as error:
            raise SourceError(
                f"the cache {self.file} cannot be written ({error.strerror or error}); give a path"
                ' in a folder that can be, or cache="memory"'
            ) from error
        if lock is None:
            # Another process makes it: look again when there is another file.
            self._seen = stamp_of(self.file)
            return
        try:
            # Another process may have made it since.
            self._mapped = self._open()
            if not self._holds_all(self._mapped):
                self._write(decode)
                self._mapped = self._open()
            self._is_current = True
        finally:
            lock.release()

    def _holds_all(self, mapped: _Mapped | None) -> bool:
        """Whether each image is there as its file is now, but for those that cannot be decoded."""
        if mapped is None:
            return False
        stamps = np.array([stamp_of(path) for path in self.paths], np.int64)
        return bool((stamps == mapped.rows["stamp"]).all())

    def _open(self) -> _Mapped | None:
        """The file, where it is one of these images; None otherwise."""
        count, pixels = len(self.paths), self.nbytes
        end = _HEADER + pixels
        try:
            with self.file.open("rb") as file:
                if os.fstat(file.fileno()).st_size != end + count * _ROW.itemsize + 32:
                    return None
                head = file.read(_HEADER)
                file.seek(end)
                rows, digest = file.read(count * _ROW.itemsize), file.read(32)
            if head != self._head() or hashlib.sha256(head + rows).digest() != digest:
                return None
            images = np.memmap(self.file, np.uint8, "r", _HEADER, (count, *self.shape))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ReadError(
                f"the cache {self.file} cannot be read ({error.strerror or error}); remove it, or"
                " give another path"
            ) from error
        return _Mapped(images, np.frombuffer(rows, _ROW))

    def _head(self) -> bytes:
        about = {"key": self._key, "shape": [len(self.paths), *self.shape]}
        text = _START + b", " + json.dumps(about).encode()[1:]
        return text.ljust(_HEADER - 1) + b"\n"

    def _write(self, decode: Decode) -> None:
        logger.info("decoding %s images into %s", f"{len(self.paths):,}", self.file)
        remove_abandoned(self.file)
        head, rows = self._head(), np.zeros(len(self.paths), _ROW)
        with open_whole(self.file) as file:
            file.write(head)
            for place, (image, row) in enumerate(self._all(decode)):
                file.write(image)
                rows[place] = row
            file.write(rows.tobytes())
            file.write(hashlib.sha256(head + rows.tobytes()).digest())

    def _all(self, decode: Decode) -> Iterator[tuple[bytes, tuple[Any, ...]]]:
        earlier = self._mapped

        def image_and_row(place: int) -> tuple[bytes, tuple[Any, ...]]:
            stamp, out = stamp_of(self.paths[place]), np.zeros(self.shape, np.uint8)
            if earlier is not None and earlier.fill(place, stamp, out):
                return out.tobytes(), tuple(earlier.rows[place])
            try:
                out, remark = decode_image(place, decode)
            except ReadError:
                # Whoever asks for this image gets the error.
                return out.tobytes(), (stamp, 0, 0)
            content = out.tobytes()
            return content, (stamp, zlib.crc32(content), flags_of(remark))

        threads = min(_MOST_THREADS, os.cpu_count() or 1)
        return results_in_order(range(len(self.paths)), image_and_row, threads)


def _refuse_file_of_somebody_else(path: Path) -> None:
    if path.is_dir() or not path.parent.is_dir():
        problem = "is a folder" if path.is_dir() else "is in a folder that does not exist"
        raise SourceError(f"the cache {path} {problem}; give the path of a file to write")
    if not path.exists():
        return
    try:
        with path.open("rb") as file:
            start = file.read(len(_START))
    except OSError as error:
        raise SourceError(
            f"the cache {path} cannot be read ({error.strerror or error}); give another path"
        ) from error
    if start != _START:
        raise SourceError(
            f"{path} is no cache of decoded images, and would be overwritten; give another path"
        )
