"""Files that appear whole or not at all: a temporary name beside the file, then a rename."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from torchcross.errors import WriteError

UNFINISHED = ".part"
"""The end of the names of unfinished files."""


def write_whole(path: Path, content: bytes | str) -> None:
    """Write bytes, or text as UTF-8."""
    with open_whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write to. It gets its name at the end of the block; after an error it is gone."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise WriteError(
            f"{path} cannot be written ({error.strerror or error}); make room, or give a path in"
            " a folder that exists and can be written"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
