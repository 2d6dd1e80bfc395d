"""One process for each folder.

The lock is the kernel's where it has one: it goes with the process, and worker processes do not
inherit it. Some file systems have none (Lustre without flock, some FUSE and SMB mounts). There the
lock is a marker file that exactly one process can create. It names its host and process: where that
process is dead, another one of the same host takes the marker over.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from torchcross.errors import InputError, SoftLockWarning, WriteError

MARKER = ".held"
"""The end of the name of a marker file, behind the name of the lock."""

_UNSUPPORTED = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})


_LONGEST_OWNER = 32


class FolderLock:
    """A folder that this process has to itself."""

    def __init__(self, lock: BaseFileLock) -> None:
        self._lock = lock
        self._path = Path(lock.lock_file)
        self._identity = _identity_of(self._path)

    def check(self) -> None:
        """Raise a WriteError where the lock's file was removed: another process may be here now."""
        if _identity_of(self._path) != self._identity:
            raise WriteError(
                f"{self._path} was removed or replaced while this process worked here: another"
                " process may write to the same folder now. Stop the others, and run the same again"
                " to go on"
            )


@contextmanager
def lock_folder(folder: Path) -> Iterator[FolderLock]:
    """Keep other processes out of a folder for the block; a missing folder is made."""
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_file_of_somebody_else(path)
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
    try:
        # Windows refuses this as long as the file is locked: then the owner has no number.
        with suppress(OSError):
            path.write_text(f"{os.getpid()}\n", encoding="ascii")
        yield FolderLock(lock)
    finally:
        lock.release()


def acquire_lock(path: Path) -> BaseFileLock | None:
    """Lock a file until `release()`; None where another process has it."""
    lock = FileLock(path, timeout=0, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        return None
    except NotImplementedError as error:
        return _acquire_marker(path, str(error) or "no locks for this system")
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return _acquire_marker(path, error.strerror or str(error))
        raise
    if _marker_of(path).exists():
        # A process of another machine may see the same folder through a mount without locks.
        marker = _soft_lock(path)
        if marker is None:
            lock.release()
            return None
        marker.release()
    return lock


def _acquire_marker(path: Path, reason: str) -> BaseFileLock | None:
    warnings.warn(
        f"{path.parent} is on a file system without locks ({reason}): while it is in use, the file"
        f" {_marker_of(path).name} keeps other processes out. If a machine stops in that time,"
        " remove the file",
        SoftLockWarning,
        stacklevel=2,
    )
    return _soft_lock(path)


def _soft_lock(path: Path) -> BaseFileLock | None:
    lock = SoftFileLock(_marker_of(path), timeout=0, thread_local=False)
    # The first attempt may do no more than to remove the marker of a process that is dead.
    for _ in range(2):
        with suppress(Timeout):
            lock.acquire()
            return lock
    return None


def _marker_of(path: Path) -> Path:
    return path.with_name(path.name + MARKER)


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _refuse_file_of_somebody_else(path: Path) -> None:
    """Locks are empty, or hold the number of a process: other content would be lost."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_OWNER + 1)
    except FileNotFoundError:
        return
    if content.strip() and not content.strip().isdigit():
        raise InputError(
            f"{path} is no lock: it holds something else, which would be overwritten; give another"
            " folder, or rename that file"
        )


def _owner(path: Path) -> str:
    """The process that has the lock, and what to do where it cannot be seen from here."""
    marker = _marker_of(path)
    with suppress(OSError, ValueError):
        number, host, *_ = marker.read_text(encoding="utf-8").split("\n")
        return (
            f" (number {int(number)} on {host}, by the file {marker.name}; if there is no such"
            " process, remove that file)"
        )
    with suppress(OSError, ValueError):
        return f" (number {int(path.read_text(encoding='ascii'))})"
    return ""
