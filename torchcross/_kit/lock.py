"""One process for each folder. The lock is the kernel's: it goes with the process."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from torchcross.errors import InputError, WriteError

_UNSUPPORTED = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder for the block; a missing folder is made."""
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = acquire_lock(path)
    except OSError as error:
        raise WriteError(
            f"{path} cannot be written ({error.strerror or error}); give a folder that can be."
        ) from error
    if lock is None:
        raise InputError(
            f"{folder} is being trained in by another process{_owner(path)}; wait for it, or give"
            " another folder."
        )
    with lock:
        # Windows refuses this as long as the file is locked: then the owner has no number.
        with suppress(OSError):
            path.write_text(f"{os.getpid()}\n", encoding="ascii")
        yield


def acquire_lock(path: Path) -> BaseFileLock | None:
    """Lock a file until `release()`; None where another process has it."""
    lock = FileLock(path, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    except NotImplementedError as error:
        raise _no_locks_error(path, error) from error
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            raise _no_locks_error(path, error) from error
        raise
    if lock.__class__ is not FileLock:
        # filelock has put a marker file in the place of the kernel's lock. That would stay after
        # a crash.
        lock.release()
        raise _no_locks_error(path, "the kernel has no lock for it")
    return lock


def _no_locks_error(path: Path, reason: object) -> WriteError:
    return WriteError(
        f"{path} cannot be locked: its file system does not support locks ({reason}), and two"
        " processes could write there at once; give a folder on another disk"
    )


def _owner(path: Path) -> str:
    with suppress(OSError, ValueError):
        return f" (number {int(path.read_text(encoding='ascii'))})"
    return ""
