"""Checks the TIFF files beside images.hdf5: the names of all of them, the pixels of some."""

from __future__ import annotations

import re
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from medimeta_adapter.audit.audited_dataset import AuditedDataset
from medimeta_adapter.audit.findings import Findings
from medimeta_adapter.audit.scan import PixelRows
from medimeta_adapter.format.files import path_inside, regular_file_size
from torchcross._kit.arrays import evenly_spaced
from torchcross.errors import DatasetFileError, TorchcrossError

SAMPLED = 32
"""At most this many TIFF files, evenly spread, are compared with their rows of images.hdf5."""

_PILLOW_ERRORS = (
    *(UnidentifiedImageError, OSError, ValueError, SyntaxError, TypeError, KeyError),
    *(ArithmeticError, Image.DecompressionBombError, Image.DecompressionBombWarning),
)
"""What Pillow raises for damaged images."""

_NAME = re.compile(r"(\d{1,12})\.tiff?")


def audit_tiffs(dataset: AuditedDataset, pixels: PixelRows, findings: Findings) -> None:
    """Report missing and surplus files, and files that differ from images.hdf5.

    A dataset without a folder of TIFF files is complete, too.
    """
    if not (dataset.folder / "images").is_dir():
        return
    names = _names_by_row(dataset)
    findings.warning(
        "tiff-missing",
        dataset.name,
        "rows without a TIFF file, though other rows have one",
        file="images",
        examples=np.setdiff1d(np.arange(dataset.count), list(names)),
    )
    findings.warning(
        "tiff-surplus",
        dataset.name,
        f"TIFF files beyond the {dataset.count:,} rows",
        file="images",
        examples=sorted(row for row in names if row >= dataset.count),
    )
    sampled = [row for row in evenly_spaced(dataset.count, SAMPLED).tolist() if row in names]
    differences = [_difference(dataset, pixels, row, names[row]) for row in sampled]
    examples = list(filter(None, differences))
    findings.error(
        "tiff-differs",
        dataset.name,
        "TIFF files whose pixels differ from images.hdf5",
        file="images",
        examples=examples,
    )


def _names_by_row(dataset: AuditedDataset) -> dict[int, str]:
    names = sorted(entry.name for entry in (dataset.folder / "images").iterdir())
    matches = [match for match in map(_NAME.fullmatch, names) if match]
    return {int(match.group(1)): match.string for match in matches}


def _difference(dataset: AuditedDataset, pixels: PixelRows, row: int, name: str) -> str:
    """Return what is wrong with one file, or nothing."""
    try:
        image = _read_tiff(dataset, name)
        expected = pixels.rows(np.array([row]))[0]
    except (TorchcrossError, *_PILLOW_ERRORS) as error:
        return f"{name}: {error}"
    if image.shape != expected.shape:
        return f"{name}: shape {image.shape} instead of {expected.shape}"
    wrong = int((image != expected).sum())
    return f"{name}: {wrong:,} of {expected.size:,} values" if wrong else ""


def _read_tiff(dataset: AuditedDataset, name: str) -> NDArray[np.uint8]:
    path = path_inside(dataset.boundary, dataset.folder / "images" / name)
    channels, height, width = dataset.info.input_size
    regular_file_size(path, "a TIFF file")
    with warnings.catch_warnings():
        # Pillow only warns of some damage. The comparison shows it, too.
        warnings.simplefilter("ignore")
        with Image.open(path, formats=["TIFF"]) as image:
            if image.size != (width, height):
                size = f"{image.size[1]}x{image.size[0]}"
                raise DatasetFileError(f"{size} pixels instead of {height}x{width}")
            pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        raise DatasetFileError(f"values of type {pixels.dtype} instead of uint8")
    return pixels[..., 0] if pixels.ndim == 3 and channels == 1 else pixels
