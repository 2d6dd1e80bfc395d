"""The JSON files of a run: written whole with a content hash, which is checked at reading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torchcross._kit.content_hash import damage_error, split_hash, with_hash
from torchcross._kit.whole_files import write_whole
from torchcross.errors import InputError

REMOVABLE = "remove it, and run again"
NEEDED = "put it back from a copy, or begin again in another folder"


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file with its content hash, whole or not at all."""
    record = json.dumps(with_hash(value), indent=2, sort_keys=True, ensure_ascii=False)
    write_whole(path, f"{record}\n")


def read_json(path: Path, *, hashed: bool = False, advice: str = NEEDED) -> dict[str, Any]:
    """The fields of a JSON file; with `hashed` it must have a content hash."""
    record, has_hash = read_hashed_json(path, advice)
    if hashed and not has_hash:
        raise damage_error(path, advice, lost=True)
    return record


def read_hashed_json(path: Path, advice: str = NEEDED) -> tuple[dict[str, Any], bool]:
    """(the fields of a JSON file, whether it has a content hash)"""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} cannot be read ({error}), so it is not as a run writes it; {advice}"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no mapping, so it is not as a run writes it; {advice}")
    return split_hash(path, content, advice)
