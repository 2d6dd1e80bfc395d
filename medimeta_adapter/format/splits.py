"""splits/<name>.txt: one line per image, images/000123.tiff."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from medimeta_adapter.format.files import read_small
from torchcross._kit.arrays import Indices
from torchcross.errors import DatasetFileError

__all__ = ["SPLITS", "image_index", "read_split"]

SPLITS = ("train", "val", "test")
_LONGEST_LINE = 64
_LINE = re.compile(r"(?:\./)?images[/\\]([0-9]{1,15})\.tiff?", re.ASCII)


def read_split(path: Path, count: int) -> Indices:
    """The rows that a split file names, ascending; `count` is how many images there are."""
    raw = read_small(path, (count + 64) * _LONGEST_LINE, f"a split of at most {count} lines")
    found: dict[int, int] = {}
    for number, line in enumerate(
        raw.decode("utf-8", "backslashreplace").removeprefix("\ufeff").split("\n"), start=1
    ):
        text = line.strip()
        if not text:
            continue
        index = image_index(text)
        where = f"{path}, line {number}: {text[:80]!r}"
        if index is None:
            raise DatasetFileError(f"{where} {_complaint(text)}; a line is like images/000123.tiff")
        if index >= count:
            raise DatasetFileError(
                f"{where} is beyond the {count} images there are (total_num_samples)"
            )
        if index in found:
            raise DatasetFileError(
                f"{where} stands in line {found[index]} already; name every image once"
            )
        found[index] = number
    return np.array(sorted(found), dtype=np.int64)


def image_index(text: str) -> int | None:
    """The row that `images/000123.tiff` stands for."""
    match = _LINE.fullmatch(text)
    return None if match is None else int(match[1])


def _complaint(text: str) -> str:
    parts = re.split(r"[/\\]", text)
    return (
        "leaves the folder images/"
        if ".." in parts or parts[0] in ("", "~") or ":" in parts[0]
        else "is no image"
    )
