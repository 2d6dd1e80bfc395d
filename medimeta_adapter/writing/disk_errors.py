"""Errors of the operating system, told with the folder that was being written and what to do."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torchcross.errors import WriteError

__all__ = ["AGAIN", "check_space", "sync_data", "told"]

AGAIN = "start again with resume=False (--restart; of open data: overwrite=True, --overwrite)"

# macOS has none of its own.
sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Raises WriteError for an OSError inside, naming `folder`."""
    try:
        yield
    except OSError as error:
        raise WriteError(_sentence(folder, error)) from error


def _sentence(folder: Path, error: OSError) -> str:
    if error.errno in _FULL:
        return (
            f"{folder} cannot be written: the disk is full ({error.strerror}); nothing stands under"
            " the final name. Free some space or choose another folder, then write again (with"
            " resume=True, as conversions have it, it goes on where it stopped)"
        )
    where = f" at {error.filename}" if error.filename else ""
    return (
        f"{folder} cannot be written{where}: {error.strerror or error}; nothing stands under the"
        " final name"
    )


def check_space(folder: Path, needed: int) -> None:
    """Refuses what is known not to fit before any work is done."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise WriteError(
            f"{folder} has {free:,} bytes free and the dataset takes {needed:,}; free some space or"
            " choose another disk"
        )
