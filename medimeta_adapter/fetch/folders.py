"""Folders that are made, and replaced by others, so that a kill leaves one of the two."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from torchcross.errors import WriteError


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(
            f"{folder} cannot be made ({error.strerror or error}); give a folder that can be"
            " written"
        ) from error


def replace_folder(folder: Path, new: Path, note: Callable[[], object]) -> None:
    """Put a new folder in the place of an old one, which goes last; `note` is called between."""
    old = old_folder(folder)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    try:
        note()
        new.replace(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.replace(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def old_folder(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")
