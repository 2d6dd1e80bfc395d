"""The folder that a dataset is built in: beside its final place, locked, renamed when all is done.

.<id>.partial/     the build; `.lock` in it is held by the process that writes
.<id>.replaced/    with overwrite=True, the old dataset for the moment between two renames
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from medimeta_adapter.writing.disk_errors import told
from torchcross.errors import WriteError

__all__ = ["PartialFolder", "check_free", "sync_folder"]

_LOCK = ".lock"


class PartialFolder:
    """Held from the start of a build to its end."""

    def __init__(self, final: Path, *, resume: bool, overwrite: bool) -> None:
        self.final = final
        self.path = final.with_name(f".{final.name}.partial")
        self._replaced = final.with_name(f".{final.name}.replaced")
        self._overwrite = overwrite
        with told(final):
            self._restore_replaced()
            self._refuse_existing()
            final.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
            try:
                # Another process may have finished while this one waited for its turn.
                self._refuse_existing()
                if not resume:
                    self._empty()
            except BaseException:
                self.leave()
                raise

    def _restore_replaced(self) -> None:
        """Undo what a crash between the two renames of an overwrite left behind."""
        if self._replaced.exists() and not self.final.exists():
            self._replaced.rename(self.final)

    def _refuse_existing(self) -> None:
        _refuse_existing(self.final, overwrite=self._overwrite)

    def _locked(self) -> int:
        while True:
            self.path.mkdir(exist_ok=True)
            lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                raise _busy(self.final) from None
            if self._is_still_there(lock):
                return lock
            os.close(lock)

    def _is_still_there(self, lock: int) -> bool:
        try:
            return os.path.samestat(os.fstat(lock), (self.path / _LOCK).stat())
        except FileNotFoundError:
            return False

    def _empty(self) -> None:
        for entry in self.path.iterdir():
            if entry.name != _LOCK:
                (
                    shutil.rmtree(entry)
                    if entry.is_dir() and not entry.is_symlink()
                    else entry.unlink()
                )

    def finish(self) -> None:
        """Give the build its final name; readers see the old dataset or the new one."""
        with told(self.final):
            sync_folder(self.path)
            if self._overwrite and os.path.lexists(self.final):
                if self._replaced.exists():
                    shutil.rmtree(self._replaced)
                self.final.rename(self._replaced)
            self.path.rename(self.final)
            sync_folder(self.final.parent)
            (self.final / _LOCK).unlink()
            self.leave()
            if self._replaced.exists():
                shutil.rmtree(self._replaced)

    def discard(self) -> None:
        """Take the build away."""
        try:
            shutil.rmtree(self.path, ignore_errors=True)
        finally:
            self.leave()

    def leave(self) -> None:
        """Let go of the build, which stays for a later `resume`."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def check_free(final: Path, *, overwrite: bool) -> None:
    """Refuses what `PartialFolder` would refuse, before any work is done; holds nothing."""
    _refuse_existing(final, overwrite=overwrite)
    try:
        lock = os.open(
            final.with_name(f".{final.name}.partial") / _LOCK, os.O_RDONLY | os.O_CLOEXEC
        )
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _busy(final) from None
    finally:
        os.close(lock)


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
    """Make the entries of a folder outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
