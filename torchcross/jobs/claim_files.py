"""The file of a claim: a heartbeat of fixed width in its first line, and who holds it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from torchcross.errors import WriteError
from torchcross.jobs.processes import ProcessIdentity

_DIGITS: Final = 20
_LONGEST: Final = 4096
"""Bytes of a claim. Only a foreign file is longer."""


@dataclass(frozen=True)
class ClaimRecord:
    """What a claim's file says; `beat` is -1 where the file is just being written, or damaged.

    No two claims ever have the same `content`.
    """

    key: str
    generation: int
    beat: int
    owner: ProcessIdentity | None
    content: bytes

    @property
    def name(self) -> str:
        return f"{self.key}.{self.generation}"


def unwritten_claim(path: Path, error: OSError) -> WriteError:
    return WriteError(
        f"{path} cannot be written ({error.strerror or error}); every worker must be able to write"
        " to the folder of the job. Make room there, or let this worker mount it for writing"
    )


def create_file(path: Path) -> BinaryIO:
    """Create a file that nobody else has created."""
    try:
        return path.open("xb")
    except FileNotFoundError:
        # The last process of an earlier call has removed the empty folder a moment ago.
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")


def beat_line(beat: int) -> bytes:
    return f"{beat:0{_DIGITS}d}\n".encode()


def read_claim(path: Path, key: str, generation: int) -> ClaimRecord | None:
    """The claim; None where there is none."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        if os.name == "nt" and isinstance(error, PermissionError):
            # Being removed at this moment.
            return None
        raise
    line, _, rest = content.partition(b"\n")
    beat = int(line) if line.isdigit() else -1
    return ClaimRecord(key, generation, beat, _owner(rest), content)


def _owner(text: bytes) -> ProcessIdentity | None:
    try:
        plain: Any = json.loads(text)
        return ProcessIdentity.from_plain(plain["owner"])
    except (ValueError, TypeError, KeyError):
        return None


def names_in(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 (names alone: a folder of 10,000 claims)
    except FileNotFoundError:
        return []
