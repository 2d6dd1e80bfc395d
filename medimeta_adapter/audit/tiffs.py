"""The TIFF files beside images.hdf5: all counted, some compared."""

from __future__ import annotations

import os
import re
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from medimeta_adapter.audit.audited_dataset import Opened
from medimeta_adapter.audit.findings import Findings
from medimeta_adapter.audit.scan import Rows
from medimeta_adapter.format.files import path_inside, regular_file_size
from torchcross._kit.arrays import Indices
from torchcross.errors import DatasetFileError, TorchcrossError

__all__ = ["SAMPLED", "audit_tiffs", "sampled_rows"]

SAMPLED = 32
"""So many TIFF files, evenly spread, are compared with their rows of images.hdf5."""

_BROKEN = (
    *(
        UnidentifiedImageError,
        OSError,
        ValueError,
        SyntaxError,
        TypeError,
        KeyError,
        ArithmeticError,
    ),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What a damaged image was seen to raise in Pillow."""

_NAME = re.compile(r"(\d{1,12})\.tiff?")


def sampled_rows(count: int) -> Indices:
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLED)).round().astype(np.int64))


def audit_tiffs(opened: Opened, pixels: Rows | None, findings: Findings) -> None:
    """Missing and surplus files, and files that show something else than images.hdf5. No folder:
    nothing to say.
    """
    folder = opened.folder / "images"
    if not folder.is_dir():
        return
    where = {"file": "images"}
    named = _named_rows(opened)
    if (missing := np.setdiff1d(np.arange(opened.count), list(named))).size:
        message = "rows without a TIFF file, though others have one"
        findings.warning(
            "tiff-missing", opened.name, message, count=len(missing), examples=missing, **where
        )
    if surplus := sorted(row for row in named if row >= opened.count):
        message = f"TIFF files beyond the {opened.count:,} rows"
        findings.warning(
            "tiff-surplus", opened.name, message, count=len(surplus), examples=surplus, **where
        )
    if pixels is None:
        return
    sampled = [row for row in sampled_rows(opened.count).tolist() if row in named]
    differ = [_difference(opened, pixels, row, named[row]) for row in sampled]
    told = [reason for reason in differ if reason]
    if told:
        message = "TIFF files that do not show what images.hdf5 holds"
        findings.error(
            "tiff-differs", opened.name, message, count=len(told), examples=told, **where
        )


def _named_rows(opened: Opened) -> dict[int, str]:
    with os.scandir(opened.folder / "images") as entries:
        names = [(found, entry.name) for entry in entries if (found := _NAME.fullmatch(entry.name))]
    return {int(found.group(1)): name for found, name in names}


def _difference(opened: Opened, pixels: Rows, row: int, name: str) -> str:
    """What is wrong with one file, if something is."""
    try:
        shown = _read(opened, name)
        held = pixels.rows(np.array([row]))[0]
    except (TorchcrossError, *_BROKEN) as error:
        return f"{name}: {error}"
    if shown.shape != held.shape:
        return f"{name}: shape {shown.shape} instead of {held.shape}"
    wrong = int((shown != held).sum())
    return f"{name}: {wrong:,} of {held.size:,} values" if wrong else ""


def _read(opened: Opened, name: str) -> NDArray[np.uint8]:
    path = path_inside(opened.boundary, opened.folder / "images" / name)
    channels, height, width = opened.info.input_size
    regular_file_size(path, "a TIFF file")
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # what Pillow makes of a damaged file is compared, or raises
        with Image.open(path, formats=["TIFF"]) as image:
            if image.size != (width, height):
                raise DatasetFileError(
                    f"{image.size[1]}x{image.size[0]} pixels instead of {height}x{width}"
                )
            found = np.asarray(image)
    if found.dtype != np.uint8:
        raise DatasetFileError(f"values of type {found.dtype} instead of uint8")
    return found[..., 0] if found.ndim == 3 and channels == 1 else found
