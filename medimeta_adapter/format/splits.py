"""splits/<name>.txt: one line per image, images/000123.tiff."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medimeta_adapter.format.files import read_small_file
from torchcross._kit.arrays import Indices
from torchcross.errors import DatasetFileError

SPLITS = ("train", "val", "test")
Split = str | Sequence[str] | None
_LONGEST_LINE = 64
_LINE = re.compile(r"(?:\./)?images[/\\]([0-9]{1,15})\.tiff?", re.ASCII)


def read_split(path: Path, count: int) -> Indices:
    """Return the rows that a split file names, ascending; `count` is how many images there are."""
    content = read_small_file(
        path, (count + 64) * _LONGEST_LINE, f"a split of at most {count} lines"
    )
    text = content.decode("utf-8", "backslashreplace").removeprefix("\ufeff")
    line_of: dict[int, int] = {}
    for number, line in enumerate(map(str.strip, text.split("\n")), start=1):
        if not line:
            continue
        index = image_index(line)
        place = f"{path}, line {number}: {line[:80]!r}"
        if index is None:
            raise DatasetFileError(f"{place} {_problem(line)}; a line is like images/000123.tiff")
        if index >= count:
            raise DatasetFileError(
                f"{place} is beyond the {count} images there are (total_num_samples)"
            )
        if index in line_of:
            raise DatasetFileError(
                f"{place} is in line {line_of[index]} already; name every image once"
            )
        line_of[index] = number
    return np.array(sorted(line_of), dtype=np.int64)


def image_index(text: str) -> int | None:
    """Return the row that `images/000123.tiff` stands for."""
    match = _LINE.fullmatch(text)
    return None if match is None else int(match[1])


def _problem(line: str) -> str:
    parts = re.split(r"[/\\]", line)
    if ".." in parts or parts[0] in ("", "~") or ":" in parts[0]:
        return "leaves the folder images/"
    return "is no image"
