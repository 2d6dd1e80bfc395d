"""Content hashes inside files: what is read is what was written, or an error names the file.

A text file ends in the line "# sha256: ..." over all bytes before it. A JSON file has the field
"sha256" over its other fields, and a file of tensors the same in its metadata. Each stands in the
file itself and is renamed with it, so a process that is killed leaves no file and hash that differ.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchcross.errors import DamageError

FIELD = "sha256"
"""The name of the hash in a JSON file."""

_MARK = b"# sha256: "
_LENGTH = len(_MARK) + 64 + 1
_LINE = re.compile(re.escape(_MARK) + rb"[0-9a-f]{64}\n")
_CHANGED = "its content is not what was written: it is damaged, cut off, or was changed by hand"
_LOST = "its content hash is gone: it is damaged, cut off, or was changed by hand"


def damage_error(path: Path, advice: str, *, lost: bool = False) -> DamageError:
    """The error of a file whose content does not fit its hash, or (`lost`) that has lost it."""
    return DamageError(f"{path}: {_LOST if lost else _CHANGED}; {advice}")


# -- text files ------------------------------------------------------------------------------------


def hash_line(digest: str) -> bytes:
    """The last line of a text file whose bytes before it have this digest."""
    return _MARK + digest.encode() + b"\n"


def with_hash_line(content: bytes) -> bytes:
    return content + hash_line(hashlib.sha256(content).hexdigest())


def split_hash_line(path: Path, content: bytes, advice: str) -> tuple[bytes, bool]:
    """(the bytes before the hash's line, whether there is one); a DamageError where it is wrong."""
    body, line = content[:-_LENGTH], content[-_LENGTH:]
    if not _LINE.fullmatch(line):
        if _MARK in content[-2 * _LENGTH :]:
            raise damage_error(path, advice)
        return content, False
    if hash_line(hashlib.sha256(body).hexdigest()) != line:
        raise damage_error(path, advice)
    return body, True


# -- JSON ------------------------------------------------------------------------------------------


def with_hash(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with its hash, as JSON reads it back."""
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return {**plain, FIELD: json_digest(plain)}


def split_hash(path: Path, record: Mapping[str, Any], advice: str) -> tuple[dict[str, Any], bool]:
    """(the fields without the hash, whether there is one); a DamageError where it is wrong."""
    fields = {name: value for name, value in record.items() if name != FIELD}
    if FIELD not in record:
        return fields, False
    if record[FIELD] != json_digest(fields):
        raise damage_error(path, advice)
    return fields, True


def json_digest(plain: Mapping[str, Any]) -> str:
    """SHA-256 of plain values as JSON writes them, names sorted."""
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
