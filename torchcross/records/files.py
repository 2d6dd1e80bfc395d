"""Tables of records on disk: CSV, and Parquet where pyarrow is installed.

Where something learned from all labels of a target, a CSV file has the word "all" in its column of
shots, and a Parquet file the largest whole number of 64 bits.

A CSV file ends in a comment with its content hash: `pandas.read_csv(path, comment="#")`. A Parquet
file has the hash of the same rows as CSV in its metadata.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from torchcross._kit.content_hash import damage_error, split_hash_line, with_hash_line
from torchcross._kit.user_files import read_user_file
from torchcross._kit.whole_files import write_whole
from torchcross.errors import InputError, MissingExtraError, ReadError
from torchcross.records.records import FIELDS, INTEGERS, SHOTS, TEXTS, EpisodeRecord, Records
from torchcross.records.shots import ALL, shots_word

_DIGITS: Final = re.compile(r"[0-9]{1,19}")
_FLOAT: Final = re.compile(r"nan|[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

_ADVICE = "write the file again, or put it back from a copy"
_HASH: Final = b"torchcross-sha256"


def write_records(records: Records, path: Path) -> Path:
    """Write the rows under `path`, whole or not at all."""
    to_bytes = _by_suffix(path, {".csv": _csv_bytes, ".parquet": _parquet_bytes})
    write_whole(path, to_bytes(records))
    return path


def read_records(path: str | Path) -> Records:
    """Read a file of records and check every row.

    A content hash is checked; files of other programs need none. An error names the file and its
    line (Parquet: its row).
    """
    return read_hashed_records(Path(path))[0]


def read_hashed_records(path: Path, advice: str = _ADVICE) -> tuple[Records, bool]:
    """(the records of a file, whether it has a content hash); `advice` is for a damaged one."""
    read = _by_suffix(path, {".csv": _read_csv, ".parquet": _read_parquet})
    try:
        content = read_user_file(path)
    except OSError as error:
        raise ReadError(
            f"{path} cannot be read ({error.strerror or error}); give the path of a file"
        ) from error
    records, has_hash = read(path, content, advice)
    return records, has_hash


def _by_suffix(path: Path, table: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    if path.suffix.lower() not in table:
        raise InputError(
            f"{path} has an unknown ending; give the name of a table, which ends in"
            f" {' or '.join(table)}"
        )
    return table[path.suffix.lower()]


# -- CSV -------------------------------------------------------------------------------------------


def _csv_bytes(records: Records) -> bytes:
    text = io.StringIO()
    columns = records.columns
    # By default the writer does not quote a lone carriage return, which ends a row for the reader,
    # nor the mark of a comment.
    texts = [value for name in TEXTS for value in records.unique(name)]
    quotes = any("\r" in value or "#" in value for value in texts)
    writer = csv.writer(
        text, lineterminator="\n", quoting=csv.QUOTE_ALL if quotes else csv.QUOTE_MINIMAL
    )
    writer.writerow(FIELDS)
    # `tolist` gives Python floats, whose repr reads back to the same bits.
    cells = {name: columns[name].tolist() for name in FIELDS}
    cells[SHOTS] = list(map(shots_word, cells[SHOTS]))
    writer.writerows(zip(*cells.values(), strict=True))
    return with_hash_line(text.getvalue().encode())


def _read_csv(path: Path, content: bytes, advice: str) -> tuple[Records, bool]:
    content, has_hash = split_hash_line(path, content, advice)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ReadError(
            f"{path}:{line} is not UTF-8; write the file again, or convert it"
        ) from error
    table = _csv_table(text)
    # Row by row, an error can name its line.
    return table if table is not None else Records.of(_csv_rows(path, text)), has_hash


def _csv_table(text: str) -> Records | None:
    """The table by columns, which is ten times as fast as by rows; None where anything is wrong."""
    try:
        header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
        if sorted(header) != sorted(FIELDS) or not rows:
            return None
        columns: dict[str, Any] = dict(zip(header, zip(*rows, strict=True), strict=True))
        for name in INTEGERS:
            numbers = {cell: _whole_number(name, cell) for cell in set(columns[name])}
            columns[name] = [numbers[cell] for cell in columns[name]]
            if name != SHOTS:
                columns[name] = np.array(columns[name], dtype=np.int64)
        if not all(map(_FLOAT.fullmatch, columns["value"])):
            return None
        columns["value"] = np.array(list(map(float, columns["value"])), dtype=np.float64)
        return Records(columns)
    except (csv.Error, InputError, ValueError, OverflowError):
        return None


def _csv_rows(path: Path, text: str) -> Iterator[EpisodeRecord]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 0
    try:
        header = next(reader, [])
        places = _places_of_fields(path, header)
        line = reader.line_num
        for row in reader:
            if len(row) != len(header):
                raise InputError(f"has {len(row)} fields where the header has {len(header)}")
            yield _record([row[place] for place in places])
            line = reader.line_num
    except (csv.Error, InputError) as error:
        raise ReadError(
            f"{path}:{line + 1}: {error}. The file is damaged or was changed by hand; correct it"
        ) from error


def _places_of_fields(path: Path, header: list[str]) -> list[int]:
    if sorted(header) != sorted(FIELDS):
        raise ReadError(f"{path}:1 has the columns {header}; a file of records has {list(FIELDS)}")
    return [header.index(name) for name in FIELDS]


def _record(row: list[str]) -> EpisodeRecord:
    cells: dict[str, Any] = dict(zip(FIELDS, row, strict=True))
    for name in INTEGERS:
        cells[name] = _whole_number(name, cells[name])
    if not _FLOAT.fullmatch(cells["value"]):
        raise InputError(f"value is {cells['value']!r}, not a finite number or nan")
    cells["value"] = float(cells["value"])
    return EpisodeRecord(**cells)


def _whole_number(name: str, cell: str) -> int | str:
    if name == SHOTS and cell == ALL:
        return cell
    if not _DIGITS.fullmatch(cell):
        raise InputError(f"{name} is {cell!r}, not a whole number")
    return int(cell)


# -- Parquet ---------------------------------------------------------------------------------------


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # type: ignore[import-untyped]
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError(
            "Parquet files need pyarrow, which is not installed: pip install pyarrow; or use a .csv"
            " file"
        ) from error
    return pyarrow, parquet


def _parquet_bytes(records: Records) -> bytes:
    arrow, parquet = _pyarrow()
    types = {**dict.fromkeys(TEXTS, arrow.string()), **dict.fromkeys(INTEGERS, arrow.int64())}
    columns = records.columns
    schema = arrow.schema(
        [arrow.field(name, types.get(name, arrow.float64()), nullable=False) for name in FIELDS],
        metadata={_HASH: _digest_of(records)},
    )
    # With `from_pandas` NaN would turn into "no value".
    arrays = [
        arrow.array(columns[name], type=schema.field(name).type, from_pandas=False)
        for name in FIELDS
    ]
    sink = arrow.BufferOutputStream()
    parquet.write_table(arrow.Table.from_arrays(arrays, schema=schema), sink)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _digest_of(records: Records) -> bytes:
    return hashlib.sha256(_csv_bytes(records)).hexdigest().encode()


def _read_parquet(path: Path, content: bytes, advice: str) -> tuple[Records, bool]:
    arrow, parquet = _pyarrow()
    try:
        table = parquet.read_table(arrow.BufferReader(content))
    except (arrow.ArrowException, OSError, ValueError) as error:
        first_line = next(iter(str(error).splitlines()), type(error).__name__)
        raise ReadError(
            f"{path} is no Parquet file that can be read ({first_line}); write it again"
        ) from error
    _places_of_fields(path, table.column_names)
    for name in FIELDS:
        _check_column(path, name, table.column(name), arrow.types)
    try:
        records = Records({name: table.column(name).to_pylist() for name in FIELDS})
    except InputError as error:
        raise ReadError(f"{path}: {error}. The file was changed by hand; correct it") from error
    digest = (table.schema.metadata or {}).get(_HASH)
    if digest is not None and digest != _digest_of(records):
        raise damage_error(path, advice)
    return records, digest is not None


def _check_column(path: Path, name: str, column: Any, types: Any) -> None:
    if name in TEXTS:
        expected = "text"
        allowed: tuple[Any, ...] = (types.is_string, types.is_large_string, types.is_dictionary)
    elif name in INTEGERS:
        expected, allowed = "whole numbers", (types.is_integer,)
    else:
        expected, allowed = "float64", (types.is_float64,)
    if not any(is_type(column.type) for is_type in allowed):
        raise ReadError(f"{path}: the column {name} is {column.type}; it must hold {expected}")
    if column.null_count:
        raise ReadError(
            f"{path}: the column {name} has {column.null_count} empty cells; every row needs every"
            " field"
        )
