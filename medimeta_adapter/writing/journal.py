"""The rows without their pixels: one JSON line per batch, in order.

A line is written behind the pixels that it speaks of. With `durable`, these pixels reach the disk
first, so that no line names pixels that a power cut took away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from medimeta_adapter.writing.disk_errors import RESTART_ADVICE, sync_data
from torchcross.errors import WriteError


def journal_line(entry: Mapping[str, Any], first: int, count: int) -> bytes:
    content = {"row": first, "rows": count, **entry}
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


class Journal:
    """Append-only lines `{"row": first row, "rows": how many, ...}`."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        self.path = path
        self.rows = 0
        self._durable = durable
        size = self._count_earlier_rows()
        self._file: IO[bytes] = path.open("ab")
        self._file.truncate(size)

    def _count_earlier_rows(self) -> int:
        """Count the rows of an earlier build; return the size of its lines in bytes."""
        size = 0
        if self.path.exists():
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    # A line that a crash cut off does not count.
                    if not line.endswith(b"\n"):
                        break
                    entry = self._read_line(line, number)
                    if entry["row"] != self.rows:
                        raise self._damage(number)
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
        """Yield all lines from the first on."""
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield self._read_line(line, number)

    def _read_line(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except ValueError:
            raise self._damage(number) from None
        if not isinstance(entry, dict) or not isinstance(entry.get("rows"), int):
            raise self._damage(number)
        return entry

    def _damage(self, number: int) -> WriteError:
        return WriteError(f"{self.path}, line {number}, is damaged; {RESTART_ADVICE}")

    def close(self) -> None:
        self._file.close()
