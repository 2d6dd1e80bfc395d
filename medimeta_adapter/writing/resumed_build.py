"""The folder of an earlier build: whether this build may go on with it, or how it starts anew."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from medimeta_adapter.writing.disk_errors import RESTART_ADVICE
from medimeta_adapter.writing.draft import DatasetDraft
from medimeta_adapter.writing.partial import sync_folder
from torchcross._kit.whole_files import write_whole
from torchcross.errors import InputError, WriteError

DRAFT_FILE = ".draft.json"


def check_folder_name(folder: Path, draft: DatasetDraft) -> None:
    if folder.name != draft.id:
        places = f"{folder.parent / draft.id} or {folder / draft.id}"
        raise InputError(
            f"the folder {folder.name!r} is not named as the dataset, {draft.id!r}; write to"
            f" {places}, or change the id"
        )


def begin_build(folder: Path, draft: DatasetDraft, *, durable: bool) -> None:
    """Note down what is built here, for a later build that wants to go on."""
    write_whole(folder / DRAFT_FILE, json.dumps(draft.as_dict() | {"durable": durable}))


def check_earlier_build(folder: Path, draft: DatasetDraft) -> None:
    """Go on with the same draft alone, and only where no line is ahead of its pixels."""
    try:
        earlier = dict(json.loads((folder / DRAFT_FILE).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        earlier = {}
    if not earlier.pop("durable", False):
        raise WriteError(f"{folder} was begun without resume=True; {RESTART_ADVICE}")
    if differences := draft.differences(earlier):
        raise WriteError(
            f"{folder} was begun with another draft ({', '.join(differences)} differ); finish it"
            f" with that draft, or {RESTART_ADVICE}"
        )


def remove_leftovers(folder: Path, keep: str) -> None:
    """Remove what an earlier attempt to finish has left, but for `keep` and hidden files."""
    for entry in folder.iterdir():
        if entry.name.startswith(".") or entry.name == keep:
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def sync_tree(folder: Path) -> None:
    """Make a folder and all below outlast a power cut."""
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        else:
            # Windows syncs only files that are open for writing.
            with path.open("r+b") as file:
                os.fsync(file.fileno())
