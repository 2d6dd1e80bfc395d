"""One process for each folder. The lock is the kernel's: it is gone with the process, however that
ended.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from torchcross.errors import InputError, WriteError

__all__ = ["locked"]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """The folder, made where it is missing, is this process's alone until the end of the block."""
    path = folder / "lock"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="ascii")
    except OSError as error:
        raise WriteError(
            f"{path} cannot be written ({error.strerror or error}); give a folder that can be."
        ) from error
    with file:
        if not _taken(file):
            file.seek(0)
            owner = file.read().strip()
            raise InputError(
                f"{folder} is being trained in by another"
                f" process{f' (number {owner})' if owner else ''}; wait for it, or give another"
                " folder."
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _taken(file: IO[str]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            # A byte that holds no text, because a locked one cannot be read by others.
            file.seek(1 << 20)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
