"""Files from elsewhere: inside the dataset's folder, regular, no larger than announced."""

from __future__ import annotations

import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torchcross.errors import DatasetFileError

_filters = threading.Lock()


def path_inside(boundary: Path | None, path: Path) -> Path:
    """Return the path; refuse one that links lead out of the (real) `boundary`. None allows all."""
    real = Path(os.path.realpath(path))
    if boundary is not None and not real.is_relative_to(boundary):
        raise DatasetFileError(
            f"{path} leads out of {boundary}, to {real}; put the file there itself, or pass"
            " follow_links=True if you trust it"
        )
    return path


def regular_file_size(path: Path, description: str) -> int:
    """Return the size of a file in bytes, without opening it.

    Devices, pipes, folders and missing files are refused.
    """
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DatasetFileError(f"{path}: expected {description}, but: {reason}") from None
    if not stat.S_ISREG(status.st_mode):
        raise DatasetFileError(f"{path}: expected {description}, and this is no regular file")
    return status.st_size


def read_small_file(path: Path, largest: int, description: str) -> bytes:
    """Return the content of a file of at most `largest` bytes."""
    size = regular_file_size(path, description)
    if size > largest:
        raise DatasetFileError(f"{path}: {size:,} bytes; {description} has at most {largest:,}")
    try:
        with path.open("rb") as file:
            # Not `largest`: Python allocates as much as it is asked to read.
            content = file.read(size + 1)
    except OSError as error:
        raise DatasetFileError(f"{path}: {description} cannot be read: {error.strerror}") from None
    if len(content) > size:
        raise DatasetFileError(
            f"{path}: {description} grows while it is read; try again when it is written"
        )
    return content


@contextmanager
def warnings_as_errors(*harmless: type[Warning]) -> Iterator[None]:
    """Raise what a decoder warns of, but for the `harmless` kinds: a damaged file is refused.

    One thread at a time, because warning filters belong to the process: two threads that each
    restored the filters would leave them changed.
    """
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)
        for kind in harmless:
            warnings.simplefilter("ignore", kind)
        yield


def _renew_lock() -> None:
    """A forked child lacks the threads that may hold its parent's lock."""
    global _filters
    _filters = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
