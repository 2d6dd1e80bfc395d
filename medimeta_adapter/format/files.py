"""Files of strangers: nothing outside the dataset's folder, regular files only, nothing larger than
announced.
"""

from __future__ import annotations

import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torchcross.errors import DatasetFileError

__all__ = ["inside", "raised_warnings", "read_small", "regular_size"]

_filters = threading.Lock()


def inside(boundary: Path | None, path: Path) -> Path:
    """The path, refused where links lead it out of the (real) `boundary`; None is no boundary."""
    real = Path(os.path.realpath(path))
    if boundary is not None and not real.is_relative_to(boundary):
        raise DatasetFileError(
            f"{path} leads out of {boundary}, to {real}; put it there itself, or pass"
            " follow_links=True if you trust it"
        )
    return path


def regular_size(path: Path, what: str) -> int:
    """The size of a file in bytes; devices, pipes, folders and missing files are refused without
    being opened.
    """
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DatasetFileError(
            f"{path}: {what} is expected here, and cannot be had: {reason}"
        ) from None
    if not stat.S_ISREG(found.st_mode):
        raise DatasetFileError(f"{path}: {what} is expected here, and this is no regular file")
    return found.st_size


def read_small(path: Path, largest: int, what: str) -> bytes:
    """The content of a file of at most `largest` bytes."""
    size = regular_size(path, what)
    if size <= largest:
        try:
            with path.open("rb") as file:
                # Not `largest`: Python takes memory for all that is asked for.
                content = file.read(size + 1)
        except OSError as error:
            raise DatasetFileError(f"{path}: {what} cannot be read: {error.strerror}") from None
        if len(content) <= size:
            return content
        raise DatasetFileError(
            f"{path}: {what} grows while it is read; try again when it is written"
        )
    raise DatasetFileError(f"{path}: {size:,} bytes; {what} has at most {largest:,}")


@contextmanager
def raised_warnings(*harmless: type[Warning]) -> Iterator[None]:
    """What a decoder warns of is raised, but for `harmless` kinds: a damaged file is no file.

    One thread at a time: the filters are the process's, and two that put back what they found would
    leave them changed.
    """
    ignored: tuple[type[Warning], ...] = (DeprecationWarning, *harmless)
    with _filters, warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in ignored:
            warnings.simplefilter("ignore", kind)
        yield


def _renew_lock() -> None:
    """A child begins without the threads that may hold its parent's lock."""
    global _filters
    _filters = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)
