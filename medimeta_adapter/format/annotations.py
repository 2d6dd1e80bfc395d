"""annotations.csv: columns as arrays of text, in the order of the images."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.format.files import read_small_file
from medimeta_adapter.format.frozen import FrozenMapping
from medimeta_adapter.format.splits import image_index
from torchcross._kit.argument_checks import repeated_names
from torchcross._kit.arrays import read_only
from torchcross.errors import DatasetFileError

_LONGEST_ROW = 1 << 14
_UNKNOWN = frozenset({"", "nan", "none", "na", "n/a", "null"})


def read_annotations(path: Path, count: int) -> Mapping[str, NDArray[Any]]:
    """Return every column by its name, entry i for image i, whatever the order in the file."""
    content = read_small_file(path, (count + 64) * _LONGEST_ROW, f"a table of {count} rows")
    try:
        reader = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DatasetFileError(
            f"{path}, line {line}: not UTF-8 text ({error.reason}); save the file as UTF-8"
        ) from None
    try:
        header = next(reader, [])
        _check_header(header, path)
        # By row, and no list of `count` entries: a short info.yaml can claim any number.
        rows: dict[int, list[str]] = {}
        for row in reader:
            if row:
                rows[_image_of(row, header, rows, count, f"{path}, line {reader.line_num}")] = row
    except csv.Error as error:
        raise DatasetFileError(f"{path}, line {reader.line_num}: not valid CSV: {error}") from None
    if len(rows) < count:
        first = next(row for row in range(count) if row not in rows)
        raise DatasetFileError(
            f"{path}: no row for {count - len(rows)} of the {count} images (total_num_samples), the"
            f" first missing one is images/{first:06d}.tiff"
        )
    columns = zip(*(rows[row] for row in range(count)), strict=True)
    return FrozenMapping(
        {
            name: read_only(np.array(column, dtype=object))
            for name, column in zip(header, columns, strict=True)
        }
    )


def _check_header(header: list[str], path: Path) -> None:
    if "filepath" not in header:
        raise DatasetFileError(
            f"{path}, line 1: no column 'filepath'; there are {str(header[:12])[:300]}"
        )
    if twice := repeated_names(header):
        raise DatasetFileError(
            f"{path}, line 1: the columns {str(twice)[:200]} are here twice; name each once"
        )


def _image_of(
    row: list[str], header: list[str], rows: Mapping[int, list[str]], count: int, where: str
) -> int:
    """Return which image a row is about; `rows` are those that were read already."""
    if len(row) != len(header):
        raise DatasetFileError(f"{where}: {len(row)} fields, the header has {len(header)}")
    name = row[header.index("filepath")]
    index = image_index(name.strip())
    if index is None or index >= count:
        raise DatasetFileError(
            f"{where}, filepath: {name[:80]!r} is none of the {count} images, images/000000.tiff"
            " and so on"
        )
    if index in rows:
        raise DatasetFileError(f"{where}, filepath: a second row for {name[:80]!r}")
    return index


def means_unknown(text: str) -> bool:
    """Whether a cell says that its subject or its label is unknown: empty, NaN, None, n/a, ..."""
    return text.strip().lower() in _UNKNOWN


def known_subject(text: str) -> str:
    """Return the name of a subject, or an empty text if it is unknown."""
    return "" if means_unknown(text) else text.strip()


def subjects_of(column: NDArray[Any]) -> NDArray[Any]:
    """Return who each sample comes from; one without a name is a subject of its own."""
    names = map(known_subject, column.tolist())
    subjects = [name or f"unknown subject of row {row}" for row, name in enumerate(names)]
    return np.array(subjects, dtype=object)
