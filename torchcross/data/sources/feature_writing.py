"""Files of features as they are made: block by block, in any number of attempts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.whole_files import sync_folder
from torchcross.data.sources.feature_files import (
    DIGEST_BYTES,
    FeatureRecord,
    block_digest,
    file_header,
    file_size,
    read_record,
)
from torchcross.errors import ReadError, WriteError


@final
class FeatureWriter:
    """A file of features under an unfinished name; made by `open_unfinished`.

    A block counts as done where its digests fit: whoever is killed, at whatever moment, leaves a
    file from which the next attempt goes on.
    """

    def __init__(self, file: BinaryIO, path: Path, record: FeatureRecord) -> None:
        self._file, self._path, self._record = file, path, record
        self._digests = len(file_header(record))
        self._features = self._digests + record.blocks * 2 * DIGEST_BYTES

    def done_blocks(self) -> NDArray[np.bool_]:
        """Which blocks are there; their features are read and compared with their digests."""
        record = self._record
        done = np.zeros(record.blocks, dtype=np.bool_)
        self._file.seek(self._digests)
        digests = self._file.read(record.blocks * 2 * DIGEST_BYTES)
        for block in range(record.blocks):
            pair = digests[block * 2 * DIGEST_BYTES : (block + 1) * 2 * DIGEST_BYTES]
            image_digest, written = pair[:DIGEST_BYTES], pair[DIGEST_BYTES:]
            if any(written):
                self._file.seek(self._features + block * record.block_bytes)
                size = len(record.images_of(block)) * record.block_bytes // record.block
                total = hashlib.sha256(image_digest)
                total.update(self._file.read(size))
                done[block] = total.digest() == written
        return done

    def image_digest(self, block: int) -> bytes:
        """That of the images which a block that is there was made of."""
        self._file.seek(self._digests + block * 2 * DIGEST_BYTES)
        return self._file.read(DIGEST_BYTES)

    def write(self, block: int, image_digest: bytes, features: NDArray[np.floating]) -> None:
        """Write the features (n, views, width) of a block, and then its digests."""
        values = np.ascontiguousarray(features, dtype=self._record.item)
        pair = image_digest + block_digest(image_digest, values)
        with _explain_full_disk(self._path):
            self._file.seek(self._features + block * self._record.block_bytes)
            self._file.write(values.view(np.uint8).data)
            self._file.flush()
            self._file.seek(self._digests + block * 2 * DIGEST_BYTES)
            self._file.write(pair)
            self._file.flush()


@contextmanager
def open_unfinished(path: Path, record: FeatureRecord) -> Iterator[FeatureWriter]:
    """The file of an earlier attempt at the same features, or a new one; it stays after an error.

    At the end of the block, all that was written is on the disk.
    """
    with _explain_full_disk(path):
        is_begun = path.is_file() and _is_attempt_at(path, record)
        file = path.open("r+b" if is_begun else "w+b")
    with file:
        with _explain_full_disk(path):
            if not is_begun:
                file.write(file_header(record))
                file.truncate(file_size(record))
        yield FeatureWriter(file, path, record)
        with _explain_full_disk(path):
            file.flush()
            os.fsync(file.fileno())


def publish(unfinished: Path, path: Path) -> None:
    """Give a file that is whole its name."""
    with _explain_full_disk(path):
        unfinished.replace(path)
        sync_folder(path.parent)


def _is_attempt_at(path: Path, record: FeatureRecord) -> bool:
    try:
        return read_record(path) == record and path.stat().st_size == file_size(record)
    except ReadError:
        return False


@contextmanager
def _explain_full_disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"{path} cannot be written ({error.strerror or error}); make room, or give another"
            " folder, and run the same again: the blocks of features that are done stay"
        ) from error
