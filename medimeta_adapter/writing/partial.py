"""The folder that a dataset is built in: beside its final place, locked, renamed when all is done.

.<id>.partial/     the build
.<id>.lock         held by the process that writes
.<id>.replaced/    with overwrite=True, the old dataset for the moment between two renames
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from medimeta_adapter.writing.disk_errors import explain_disk_errors
from torchcross._kit.lock import acquire_lock
from torchcross.errors import WriteError


class PartialFolder:
    """Held from the start of a build to its end."""

    def __init__(self, final: Path, *, resume: bool, overwrite: bool) -> None:
        self.final = final
        self.path = final.with_name(f".{final.name}.partial")
        self._replaced = final.with_name(f".{final.name}.replaced")
        self._overwrite = overwrite
        with explain_disk_errors(final):
            self._restore_replaced()
            _refuse_existing(final, overwrite=overwrite)
            final.parent.mkdir(parents=True, exist_ok=True)
            self._lock = acquire_lock(_lock_path(final))
            if self._lock is None:
                raise _busy(final)
            try:
                # Another process may have finished before this one had the lock.
                _refuse_existing(final, overwrite=overwrite)
                self.path.mkdir(exist_ok=True)
                if not resume:
                    self._empty()
            except BaseException:
                self.leave()
                raise

    def _restore_replaced(self) -> None:
        """Undo what a crash between the two renames of an overwrite left behind."""
        if self._replaced.exists() and not self.final.exists():
            self._replaced.rename(self.final)

    def _empty(self) -> None:
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def finish(self) -> None:
        """Give the build its final name; readers see the old dataset or the new one."""
        with explain_disk_errors(self.final):
            sync_folder(self.path)
            if self._overwrite and os.path.lexists(self.final):
                if self._replaced.exists():
                    shutil.rmtree(self._replaced)
                self.final.rename(self._replaced)
            self.path.rename(self.final)
            sync_folder(self.final.parent)
            if self._replaced.exists():
                shutil.rmtree(self._replaced)
            self.leave()

    def discard(self) -> None:
        """Take the build away."""
        try:
            shutil.rmtree(self.path, ignore_errors=True)
        finally:
            self.leave()

    def leave(self) -> None:
        """Let go of the build, which stays for a later `resume`."""
        if self._lock is not None:
            # Removed before it is released: a process that opened it before sees then that it has
            # no name any more. Windows refuses that, and removes it on release.
            with suppress(OSError):
                _lock_path(self.final).unlink()
            self._lock.release()
            self._lock = None


def check_free(final: Path, *, overwrite: bool) -> None:
    """Refuses what `PartialFolder` would refuse, before any work is done; holds nothing."""
    _refuse_existing(final, overwrite=overwrite)
    path = _lock_path(final)
    if not path.exists():
        return
    try:
        lock = acquire_lock(path)
    except OSError:
        return
    if lock is None:
        raise _busy(final)
    lock.release()


def _lock_path(final: Path) -> Path:
    return final.with_name(f".{final.name}.lock")


def _refuse_existing(final: Path, *, overwrite: bool) -> None:
    if os.path.lexists(final) and not overwrite:
        raise WriteError(
            f"{final} exists; choose another folder, or overwrite=True (--overwrite) to replace it"
        )


def _busy(final: Path) -> WriteError:
    return WriteError(
        f"{final} is being written by another writer; wait for it, or write to another folder"
    )


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder outlast a power cut, where the system can: Windows cannot."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
