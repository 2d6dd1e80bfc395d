"""The folder of an earlier build: whether this build may go on with it, or how it starts anew."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medimeta_adapter.format.info import read_info
from medimeta_adapter.writing.draft import DatasetDraft, describe_differences
from medimeta_adapter.writing.journal import JOURNAL_FILE, read_header
from torchcross._kit.whole_files import sync_folder
from torchcross.errors import InputError, WriteError

_FORMAT_FILES = frozenset(
    {
        *("info.yaml", "images.hdf5", "annotations.csv", "LICENSE"),
        *("images", "splits", "original_splits", "task_labels"),
    }
)


def check_folder_name(folder: Path, draft: DatasetDraft) -> None:
    if folder.name != draft.id:
        places = f"{folder.parent / draft.id} or {folder / draft.id}"
        raise InputError(
            f"the folder {folder.name!r} is not named as the dataset, {draft.id!r}; write to"
            f" {places}, or change the id"
        )


def check_further_files(files: Mapping[str, str]) -> None:
    for name in files:
        if Path(name).name != name or name.startswith(".") or name in _FORMAT_FILES:
            raise InputError(
                f"{name!r} cannot be a further file; give a plain name that is none of"
                f" {', '.join(sorted(_FORMAT_FILES))}"
            )


def build_header(
    draft: DatasetDraft, made_from: Mapping[str, Any], *, durable: bool
) -> dict[str, Any]:
    """Return the first line of a journal: what is built, and whether it may go on."""
    return {"draft": draft.as_dict(), "made_from": dict(made_from), "durable": durable}


def is_same_build(folder: Path, draft: DatasetDraft) -> bool:
    """Return whether a folder holds a whole dataset of this draft, with its journal."""
    if read_header(folder / JOURNAL_FILE).get("durable") is not True:
        return False
    try:
        written = DatasetDraft.from_info(read_info(folder / "info.yaml"))
    except InputError:
        return False
    return not draft.differences(written.as_dict())


def check_earlier_build(
    folder: Path,
    header: Mapping[str, Any],
    draft: DatasetDraft,
    made_from: Mapping[str, Any],
    restart_advice: str,
) -> None:
    """Go on with the same draft alone, and only where no line is ahead of its pixels."""
    if header.get("durable") is not True:
        raise WriteError(f"{folder} was begun without resume=True; {restart_advice}")
    # What the rows are made from says more than the fields of the draft that follow from it.
    now = json.loads(json.dumps(dict(made_from)))
    differences = describe_differences(header.get("made_from", {}), now)
    if differences := differences or draft.differences(header["draft"]):
        raise WriteError(
            f"{folder} was begun for another dataset: {'; '.join(differences)}. Finish it as it was"
            f" begun, or {restart_advice}"
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
