"""CSV files of people: columns by name, a place for every error, and nothing filled in."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torchcross._kit.argument_checks import repeated_names
from torchcross._kit.spreadsheet_cells import text_of_cell
from torchcross._kit.user_files import read_user_text
from torchcross.errors import ReadError


@dataclass(frozen=True)
class TableFile:
    """The header of a file, and its rows with the place of each: "file.csv:3"."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]

    def column(self, name: str) -> Iterator[tuple[str, str]]:
        """(place, cell) of every row."""
        number = self.header.index(name)
        yield from ((place, cells[number]) for place, cells in self.rows)


def read_table_file(path: Path) -> TableFile:
    """The rows of a CSV file that are not blank, all as long as the header."""
    reader = csv.reader(io.StringIO(read_user_text(path), newline=""))
    try:
        header = tuple(name_in(cell) for cell in next(reader, []))
        rows = [
            (f"{path}:{reader.line_num}", tuple(cell.strip() for cell in row))
            for row in reader
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise ReadError(f"{path}:{reader.line_num} is no line of a CSV file: {error}") from error
    if not header or not rows:
        raise ReadError(f"{path} has no rows; give a header and one row or more")
    if twice := repeated_names(header):
        raise ReadError(f"the header of {path} names {twice} twice; name each column once")
    if "" in header:
        raise ReadError(f"column {header.index('') + 1} of {path} has no name; give it one")
    for place, cells in rows:
        if len(cells) != len(header):
            raise ReadError(f"{place} has {len(cells)} cells where the header has {len(header)}")
    return TableFile(path, header, tuple(rows))


def name_in(cell: str) -> str:
    return text_of_cell(cell.strip())


def required_name(place: str, kind: str, cell: str) -> str:
    name = name_in(cell)
    if not name:
        raise ReadError(f"{place} has no {kind}; write its name in every row")
    return name


def number_in(place: str, cell: str) -> float:
    """NaN for a blank cell: it stays missing."""
    try:
        number = float(cell) if cell else math.nan
    except ValueError:
        number = math.inf
    if math.isinf(number):
        raise ReadError(f"{place} holds {cell!r} where a number is expected; give one, or nothing")
    return number


def whole_number_in(place: str, kind: str, cell: str) -> int:
    try:
        number = int(cell)
    except ValueError:
        number = -1
    if number < 0:
        raise ReadError(f"{place} has the {kind} {cell!r}; give a whole number from 0 on")
    return number


def check_spellings(path: Path, kind: str, names: Sequence[str]) -> None:
    """Refuse two names that differ in capitals or spaces only: they may be one."""
    spellings: dict[str, str] = {}
    for name in names:
        plain = "".join(name.casefold().split())
        if spellings.setdefault(plain, name) != name:
            raise ReadError(
                f"{path} has the {kind} {spellings[plain]!r} and {name!r}; write one name one way,"
                " or give them names that differ"
            )
