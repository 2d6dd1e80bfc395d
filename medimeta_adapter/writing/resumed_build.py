"""The folder of an earlier build: whether this build may go on with it, or how it starts anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medimeta_adapter.writing.disk_errors import RESTART_ADVICE
from medimeta_adapter.writing.draft import DatasetDraft
from medimeta_adapter.writing.journal import JOURNAL_FILE, read_header
from medimeta_adapter.writing.partial import sync_folder
from torchcross.errors import InputError, WriteError


def check_folder_name(folder: Path, draft: DatasetDraft) -> None:
    if folder.name != draft.id:
        places = f"{folder.parent / draft.id} or {folder / draft.id}"
        raise InputError(
            f"the folder {folder.name!r} is not named as the dataset, {draft.id!r}; write to"
            f" {places}, or change the id"
        )


def build_header(draft: DatasetDraft, *, durable: bool) -> dict[str, Any]:
    """Return the first line of a journal: what is built, and whether it may go on."""
    return {"draft": draft.as_dict(), "durable": durable}


def is_same_build(folder: Path, draft: DatasetDraft) -> bool:
    """Return whether a folder holds a build with this draft that may go on."""
    header = read_header(folder / JOURNAL_FILE)
    return header.get("durable") is True and not draft.differences(header["draft"])


def check_earlier_build(folder: Path, header: Mapping[str, Any], draft: DatasetDraft) -> None:
    """Go on with the same draft alone, and only where no line is ahead of its pixels."""
    if header.get("durable") is not True:
        raise WriteError(f"{folder} was begun without resume=True; {RESTART_ADVICE}")
    if differences := draft.differences(header["draft"]):
        raise WriteError(
            f"{folder} was begun with another draft ({', '.join(differences)} differ); finish it"
            f" with that draft, or {RESTART_ADVICE}"
        )


def remove_leftovers(folder: Path, keep: str) -> None:
    """Remove what an earlier attempt to finish has left, but for `keep` and the journal."""
    for entry in folder.iterdir():
        if entry.name in (JOURNAL_FILE, keep):
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
