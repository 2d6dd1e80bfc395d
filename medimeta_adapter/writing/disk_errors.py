"""Errors of the operating system, with the folder that was being written and what to do."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torchcross.errors import WriteError

RESTART_ADVICE = "start again with resume=False"
"""For users of Python; each command has advice of its own, in words of its options."""

# macOS and Windows have no `fdatasync`.
sync_data: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def explain_disk_errors(folder: Path) -> Iterator[None]:
    """Raise WriteError, which names `folder`, for an OSError inside."""
    try:
        yield
    except OSError as error:
        raise WriteError(_message(folder, error)) from error


def _message(folder: Path, error: OSError) -> str:
    under_name = "no dataset is under the final name"
    if os.path.lexists(folder):
        under_name = "the dataset under the final name is an earlier one, or lacks its last step"
    if error.errno in _DISK_FULL:
        return (
            f"{folder} cannot be written: the disk is full ({error.strerror}); {under_name}. Free"
            " some space or choose another folder, then write again; with resume=True, which"
            " conversions use, the build goes on where it stopped"
        )
    place = f" at {error.filename}" if error.filename else ""
    return (
        f"{folder} cannot be written{place}: {error.strerror or error}; {under_name}. Write it"
        " again when the cause is gone; with resume=True the build goes on where it stopped"
    )


def check_space(folder: Path, needed: int) -> None:
    """Refuse a dataset that cannot fit, before any work is done."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise WriteError(
            f"{folder} has {free:,} bytes free and the dataset takes {needed:,}; free some space or"
            " choose another disk"
        )
