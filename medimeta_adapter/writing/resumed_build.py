"""An earlier build: whether this one may go on with it, and a clean start where it may not or need
not.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from medimeta_adapter.writing.disk_errors import AGAIN
from medimeta_adapter.writing.draft import DatasetDraft
from medimeta_adapter.writing.partial import sync_folder
from torchcross._kit.whole_files import write_whole
from torchcross.errors import InputError, WriteError

__all__ = ["begin", "check_begun", "check_name", "clear", "sync_all"]

_DRAFT = ".draft.json"


def check_name(folder: Path, draft: DatasetDraft) -> None:
    if folder.name != draft.id:
        places = f"{folder.parent / draft.id} or {folder / draft.id}"
        raise InputError(
            f"the folder {folder.name!r} is not named as the dataset, {draft.id!r}; write to"
            f" {places}, or change the id"
        )


def begin(folder: Path, draft: DatasetDraft, *, durable: bool, pixels: str) -> None:
    """A build without rows: of another draft's, nothing is left."""
    (folder / pixels).unlink(missing_ok=True)
    write_whole(folder / _DRAFT, json.dumps(draft.as_dict() | {"durable": durable}))


def check_begun(folder: Path, draft: DatasetDraft) -> None:
    """Go on only with the same draft, and only where pixels were kept ahead of the journal through
    a power cut.
    """
    try:
        earlier = dict(json.loads((folder / _DRAFT).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        earlier = {}
    if not earlier.pop("durable", False):
        raise WriteError(f"{folder} was begun without resume=True; {AGAIN}")
    if different := draft.differences(earlier):
        raise WriteError(
            f"{folder} was begun with another draft ({', '.join(different)} differ); finish it with"
            f" that one, or {AGAIN}"
        )


def clear(folder: Path, keep: str) -> None:
    """Take away what an earlier attempt to finish has left; what cannot be made again stays."""
    for entry in folder.iterdir():
        if entry.name.startswith(".") or entry.name == keep:
            continue
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def sync_all(folder: Path) -> None:
    """Make a folder and all below outlast a power cut."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("r+b") as file:
                os.fsync(file.fileno())
