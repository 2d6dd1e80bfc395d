"""Files that appear whole or not at all: a temporary name beside the file, then a rename."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from torchcross.errors import WriteError

UNFINISHED = ".part"
"""The end of the names of unfinished files."""

UNFINISHED_NAME = re.compile(
    r"(?P<name>.+)\.(?P<process>\d+)(-(?P<machine>[0-9a-f]{8})(?=-))?(-[0-9a-f]+)?"
    rf"{re.escape(UNFINISHED)}",
    re.DOTALL,
)
"""Such a name: that of the file, the process that writes it, its machine, and random digits.

Names of earlier versions lack the machine.
"""


def write_whole(path: Path, content: bytes | str) -> None:
    r"""Write bytes, or text as UTF-8.

    A path whose bytes are no text in the locale has halves of characters in Python, which no
    encoding can write. They become escapes, as \udcff, which JSON reads back as the same path.
    """
    with open_whole(path) as file:
        file.write(
            content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
        )


def unfinished_place(path: Path) -> Path:
    """A name beside a file that no other process has, on whatever machine: numbers repeat there."""
    own = f"{os.getpid()}-{_machine()}-{uuid.uuid4().hex[:12]}"
    return path.with_name(f"{path.name}.{own}{UNFINISHED}")


def name_as_text(path: Path) -> str:
    r"""The last part of a path as text: its bytes as UTF-8, and \xff for what is not UTF-8."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


def remove_abandoned(path: Path) -> None:
    """Remove what processes of this machine left that were killed while they wrote this file."""
    for sibling in path.parent.iterdir():
        match = UNFINISHED_NAME.fullmatch(sibling.name)
        if match is None or (match["name"], match["machine"]) != (path.name, _machine()):
            continue
        if not _is_running(int(match["process"])):
            with suppress(OSError):
                sibling.unlink()


@cache
def _machine() -> str:
    """What tells machines and containers apart, whose processes may have the same numbers.

    It stays the same after a restart, so that what the machine left before can be removed.
    """
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/etc/machine-id").read_text(encoding="ascii", errors="replace"))
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:8]


def _is_running(process: int) -> bool:
    if os.name == "nt":
        # There is no signal on Windows that only asks.
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        # It is somebody else's.
        return True
    return True


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write to. It gets its name at the end of the block; after an error it is gone."""
    temporary = unfinished_place(path)
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise WriteError(
            f"{path} cannot be written ({error.strerror or error}); make room, or give a path in"
            " a folder that exists and can be written"
        ) from error
    finally:
        # It fails too where the folder is a file. The error above says why nothing was written.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder as safe as the files: a machine that stops keeps a rename."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        # Windows opens no folders; there a rename is the file system's own affair.
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems refuse it for folders. A full or broken disk is an error.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES):
            raise
    finally:
        os.close(descriptor)
