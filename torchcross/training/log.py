"""One row of a CSV file for each step."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

from torchcross._kit.content_hash import damage_error, hash_line, split_hash_line
from torchcross.errors import DamageError, ReadError, WriteError

COLUMNS = ("step", "loss", "lr", "gradient_norm", "score")
Row = tuple[int, float, float, float, float | None]
"""The values of COLUMNS; the score is None where the step was not validated."""

_COPY = "put it back from a copy, or train again in another folder."


class CsvLog:
    """`log.csv`: numbers in full and no times, so that equal runs have equal files."""

    def __init__(self, path: Path, length: int, sha256: str = "") -> None:
        """Go on after the first `length` bytes, which the checkpoint knows, and their hash."""
        self.path = path
        self._hash = hashlib.sha256(_checked_start(path, length, sha256))
        try:
            self._file = path.open("a", encoding="ascii", newline="", buffering=1)
            self._file.truncate(length)
        except OSError as error:
            raise _write_error(path, error) from error
        if not length:
            self._write_line(",".join(COLUMNS))

    def write_row(self, row: Row) -> None:
        self._write_line(",".join("" if value is None else repr(value) for value in row))

    def position(self) -> tuple[int, str]:
        """(the number of bytes that are safely on the disk, their hash)."""
        try:
            os.fsync(self._file.fileno())
            return os.fstat(self._file.fileno()).st_size, self._hash.hexdigest()
        except OSError as error:
            raise _write_error(self.path, error) from error

    def finish(self) -> None:
        """Write the content hash: training is over, and no row follows."""
        self._write_line(hash_line(self._hash.hexdigest()).decode().rstrip())

    def close(self) -> None:
        """A line for which there was no room is tried once more here, and may fail again."""
        try:
            self._file.close()
        except OSError as error:
            raise _write_error(self.path, error) from error

    def _write_line(self, line: str) -> None:
        text = f"{line}\n"
        try:
            self._file.write(text)
        except OSError as error:
            raise _write_error(self.path, error) from error
        self._hash.update(text.encode())


def _checked_start(path: Path, length: int, sha256: str) -> bytes:
    """The first bytes of a log, as the checkpoint knows them."""
    advice = "Put the whole file back, or begin again in another folder."
    try:
        with path.open("rb") as file:
            start = file.read(length)
    except FileNotFoundError:
        start = b""
    except OSError as error:
        raise _write_error(path, error) from error
    if len(start) < length:
        raise ReadError(
            f"{path} has {len(start)} bytes and the checkpoint knows {length}: it was cut or"
            f" replaced. {advice}"
        )
    if sha256 and hashlib.sha256(start).hexdigest() != sha256:
        raise damage_error(path, advice)
    return start


def is_whole_log(path: Path, length: int) -> bool:
    """Whether a log of so many bytes is there with its content hash behind them."""
    try:
        content, hashed = split_hash_line(path, path.read_bytes(), "")
    except (OSError, DamageError):
        return False
    return hashed and len(content) == length


def _write_error(path: Path, error: OSError) -> WriteError:
    return WriteError(
        f"{path} cannot be written ({error.strerror or error}); make room, and run again:"
        " training goes on from the last checkpoint."
    )


def read_log(path: str | Path, *, hashed: bool = False) -> list[Row]:
    """The rows (step, loss, lr, gradient norm, score or None) of a folder's `log.csv`.

    A content hash is checked; with `hashed` there must be one, as in the log of every training that
    ended.
    """
    path = Path(path)
    path = path / "log.csv" if path.is_dir() else path
    rows, has_hash = read_hashed_log(path)
    if hashed and not has_hash:
        raise damage_error(path, _COPY, lost=True)
    return rows


def read_hashed_log(path: Path) -> tuple[list[Row], bool]:
    """(the rows of a log, whether it has a content hash)"""
    try:
        content, has_hash = split_hash_line(path, path.read_bytes(), _COPY)
        lines = list(csv.reader(io.StringIO(content.decode(), newline="")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReadError(
            f"{path} cannot be read ({error}); give the folder of a training."
        ) from error
    if not lines or tuple(lines[0]) != COLUMNS:
        raise ReadError(
            f"{path} is not a log of training: its first line is not {','.join(COLUMNS)}."
        )
    return [_parse_row(path, number, cells) for number, cells in enumerate(lines[1:], 2)], has_hash


def _parse_row(path: Path, number: int, cells: Sequence[str]) -> Row:
    try:
        step, loss, lr, norm, score = cells
        return int(step), float(loss), float(lr), float(norm), float(score) if score else None
    except ValueError as error:
        raise ReadError(
            f"{path}, line {number}: {','.join(cells)!r} is not a row of a log; it is cut off."
        ) from error
