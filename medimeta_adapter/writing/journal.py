"""Everything about the rows but their pixels: one JSON line per batch, in order, behind pixels that
are written.

With `durable`, pixels reach the disk before the lines that speak of them, so that a journal never
promises too much.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from medimeta_adapter.writing.disk_errors import AGAIN, sync_data
from torchcross.errors import WriteError

__all__ = ["Journal"]


class Journal:
    """Append-only lines `{"row": first row, "rows": how many, ...}`."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self.rows = 0
        self._durable = durable
        self._size = self._recovered()
        self._file: IO[bytes] = path.open("ab")
        self._file.truncate(self._size)

    def _recovered(self) -> int:
        """Count the rows of an earlier build; a torn last line is no line."""
        size = 0
        if self.path.exists():
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if not line.endswith(b"\n"):
                        break
                    entry = self._entry(line, number)
                    if entry["row"] != self.rows:
                        raise self._damaged(number)
                    self.rows += entry["rows"]
                    size += len(line)
        return size

    def append(self, lines: list[bytes], rows: int) -> None:
        """Write lines that speak of the next `rows` rows."""
        self._file.write(b"".join(lines))
        self._file.flush()
        if self._durable:
            sync_data(self._file.fileno())
        self.rows += rows

    def entries(self) -> Iterator[dict[str, Any]]:
        """All lines from the first on."""
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield self._entry(line, number)

    def _entry(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except ValueError:
            raise self._damaged(number) from None
        if not isinstance(entry, dict) or not isinstance(entry.get("rows"), int):
            raise self._damaged(number)
        return entry

    def _damaged(self, number: int) -> WriteError:
        return WriteError(f"{self.path}, line {number}, is damaged; {AGAIN}")

    def close(self) -> None:
        self._file.close()
