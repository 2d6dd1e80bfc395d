"""Files that a user names: only regular ones are opened, because a pipe waits for ever."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from torchcross.errors import ReadError


def check_regular(path: str | Path) -> None:
    """Raise OSError, as opening would, where a path leads to no file, or to one of another kind."""
    try:
        mode = Path(path).stat().st_mode
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error), str(path)) from error
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a regular file", str(path))


def read_user_file(path: Path) -> bytes:
    """The content of a regular file."""
    check_regular(path)
    return path.read_bytes()


def read_user_text(path: Path) -> str:
    """The text of a regular file in UTF-8, with or without a byte-order mark."""
    try:
        return read_user_file(path).decode("utf-8-sig")
    except OSError as error:
        raise ReadError(
            f"{path} cannot be read ({error.strerror or error}); give the path of a file"
        ) from error
    except UnicodeDecodeError as error:
        raise ReadError(f"{path} is not UTF-8; convert it") from error
