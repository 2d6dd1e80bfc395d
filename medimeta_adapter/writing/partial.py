"""The folder that a dataset is built in: beside its final place, locked, renamed when all is done.

.<id>.partial/     the build
.<id>.lock         held by the process that writes
.<id>.replaced/    with overwrite=True, the old dataset for the moment between two renames

The journal of a build is removed after the rename. Where it is under the final name, the process
ended between the two: the same build takes the folder back and finishes it once more.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from medimeta_adapter.writing.disk_errors import explain_disk_errors
from medimeta_adapter.writing.journal import JOURNAL_FILE
from torchcross._kit.lock import acquire_lock
from torchcross._kit.whole_files import sync_folder
from torchcross.errors import WriteError


class PartialFolder:
    """Held from the start of a build to its end.

    `is_same_build` says of a folder whether it holds the build that goes on now.
    """

    def __init__(
        self,
        final: Path,
        *,
        resume: bool,
        overwrite: bool,
        is_same_build: Callable[[Path], bool] = lambda _: False,
    ) -> None:
        self.final = final
        self.path = final.with_name(f".{final.name}.partial")
        self._replaced = final.with_name(f".{final.name}.replaced")
        self._overwrite = overwrite
        with explain_disk_errors(final):
            if not self._replaced.exists():
                check_free(final, overwrite=overwrite)
            final.parent.mkdir(parents=True, exist_ok=True)
            self._lock = acquire_lock(_lock_path(final))
            if self._lock is None:
                raise _busy(final)
            try:
                self._settle_replaced()
                self._settle_unfinished(resume=resume, is_same_build=is_same_build)
                # Another process may have finished before this one had the lock.
                _refuse_existing(final, overwrite=overwrite)
                self.path.mkdir(exist_ok=True)
                if not resume:
                    self._empty()
            except BaseException:
                self.leave()
                raise

    def _settle_replaced(self) -> None:
        """Undo half an overwrite: between its renames, or before the old dataset was removed."""
        if not self._replaced.exists():
            return
        if self.final.exists():
            shutil.rmtree(self._replaced)
        else:
            self._replaced.rename(self.final)

    def _settle_unfinished(self, *, resume: bool, is_same_build: Callable[[Path], bool]) -> None:
        """Take a dataset back whose journal is still there, or remove the journal of another."""
        if not is_unfinished(self.final):
            return
        if resume and is_same_build(self.final):
            if self.path.exists():
                shutil.rmtree(self.path)
            self.final.rename(self.path)
        else:
            (self.final / JOURNAL_FILE).unlink()

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
            (self.final / JOURNAL_FILE).unlink()
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
            _remove_lock(_lock_path(self.final))
            self._lock.release()
            self._lock = None


def check_free(final: Path, *, overwrite: bool) -> None:
    """Refuses what `PartialFolder` would refuse, before any work is done; holds nothing."""
    is_busy = not remove_old_lock(final)
    _refuse_existing(final, overwrite=overwrite)
    if is_busy:
        raise _busy(final)


def remove_old_lock(final: Path) -> bool:
    """Remove the lock of a process that was killed; False where another process holds it."""
    path = _lock_path(final)
    if not path.exists():
        return True
    try:
        lock = acquire_lock(path)
    except OSError:
        return True
    if lock is None:
        return False
    _remove_lock(path)
    lock.release()
    return True


def _lock_path(final: Path) -> Path:
    return final.with_name(f".{final.name}.lock")


def is_unfinished(final: Path) -> bool:
    """Return whether the build of a dataset ended between its last rename and its last step."""
    return os.path.lexists(final / JOURNAL_FILE)


def _remove_lock(path: Path) -> None:
    # Removed before it is released: a process that opened it before sees then that it has no name
    # any more. Windows refuses that, and removes it on release.
    with suppress(OSError):
        path.unlink()


def _refuse_existing(final: Path, *, overwrite: bool) -> None:
    if os.path.lexists(final) and not overwrite and not is_unfinished(final):
        raise WriteError(
            f"{final} exists; choose another folder, or overwrite=True (--overwrite) to replace it"
        )


def _busy(final: Path) -> WriteError:
    return WriteError(
        f"{final} is being written by another writer; wait for it, or write to another folder"
    )
