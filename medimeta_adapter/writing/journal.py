"""The rows without their pixels: what is built, then one JSON line per batch, in order.

A line is written behind the pixels that it speaks of. With `durable`, these pixels reach the disk
first, so that no line names pixels that a power cut took away. The first line says what is built.
One file holds all that a build needs beside its pixels, so one removal ends it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from medimeta_adapter.writing.disk_errors import sync_data
from torchcross.errors import WriteError

JOURNAL_FILE = ".journal.jsonl"


def journal_line(entry: Mapping[str, Any], first: int, count: int) -> bytes:
    content = {"row": first, "rows": count, **entry}
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def read_header(path: Path) -> dict[str, Any]:
    """Return the first line of a journal; an empty one where there is none or it is damaged."""
    try:
        with path.open("rb") as file:
            return _header(file.readline())
    except OSError:
        return {}


def _header(line: bytes) -> dict[str, Any]:
    try:
        header = json.loads(line)
    except ValueError:
        return {}
    is_header = isinstance(header, dict) and isinstance(header.get("draft"), dict)
    return header if is_header else {}


class Journal:
    """A header, then append-only lines `{"row": first row, "rows": how many, ...}`."""

    def __init__(self, path: Path, *, durable: bool, restart_advice: str) -> None:
        self.path = path
        self.rows = 0
        self.header: dict[str, Any] = {}
        self._durable = durable
        self._restart_advice = restart_advice
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
                    size += len(line)
                    if number == 1:
                        self.header = self._read_header(line)
                        continue
                    entry = self._read_line(line, number)
                    if entry["row"] != self.rows:
                        raise self._damage(number)
                    self.rows += entry["rows"]
        return size

    def begin(self, header: Mapping[str, Any]) -> None:
        """Note down what is built here, for a later build that wants to go on."""
        self._file.truncate(0)
        self.header = dict(header)
        self._write(json.dumps(self.header).encode() + b"\n")

    def append(self, lines: list[bytes], rows: int) -> None:
        """Write lines that speak of the next `rows` rows."""
        self._write(b"".join(lines))
        self.rows += rows

    def _write(self, content: bytes) -> None:
        self._file.write(content)
        self._file.flush()
        if self._durable:
            sync_data(self._file.fileno())

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield all lines behind the header."""
        with self.path.open("rb") as file:
            next(file, None)
            for number, line in enumerate(file, 2):
                yield self._read_line(line, number)

    def _read_header(self, line: bytes) -> dict[str, Any]:
        header = _header(line)
        if not header:
            raise self._damage(1)
        return header

    def _read_line(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            entry = json.loads(line)
        except ValueError:
            raise self._damage(number) from None
        if not isinstance(entry, dict) or not isinstance(entry.get("rows"), int):
            raise self._damage(number)
        return entry

    def _damage(self, number: int) -> WriteError:
        return WriteError(f"{self.path}, line {number}, is damaged; {self._restart_advice}")

    def close(self) -> None:
        self._file.close()
