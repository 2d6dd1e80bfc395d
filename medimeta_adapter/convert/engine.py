"""Rows -> a dataset: duplicates, splits, decoding in threads, and writing in order, in bounded
memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.resumed import check_resumed
from medimeta_adapter.convert.row_filters import limited, without_duplicates
from medimeta_adapter.convert.rows import Row, Rows, is_grey
from medimeta_adapter.convert.splits import Splits, splits_of
from medimeta_adapter.convert.threaded_decoding import in_order, unreadable
from medimeta_adapter.preprocess import Recipe, standard
from medimeta_adapter.writing.draft import DatasetDraft
from medimeta_adapter.writing.partial import check_free
from medimeta_adapter.writing.writer import DatasetWriter
from torchcross._kit.arrays import Indices
from torchcross.errors import InputError

__all__ = ["build", "check_target"]

_BATCH_BYTES = 32 << 20
_LARGEST_BATCH = 1024


def check_target(out: str | Path, about: About, options: Options) -> None:
    """Before anything is read: whether the dataset may be written where it is to be."""
    check_free((Path(out) / about.id).absolute(), overwrite=options.overwrite)


def build(
    rows: Rows, out: str | Path, about: About, options: Options, progress: Progress | None = None
) -> Converted:
    """Write the dataset `out/<id>`."""
    check_target(out, about, options)
    given = len(rows)
    rows, duplicates, contradictory = without_duplicates(rows, options)
    rows = limited(rows, options)
    splits = splits_of(rows, options)
    channels = options.channels or rows.channels
    recipe = options.recipe or standard(options.side, channels, options.fit, depth=options.depth)
    decode = _Decoder(
        recipe, _shape(recipe, channels, options), strict=options.channels is None and channels == 1
    )
    folder = Path(out) / about.id
    draft = _draft(rows, about, decode, splits)
    with DatasetWriter(
        folder,
        draft,
        total=len(rows),
        tiffs=options.tiffs,
        resume=options.resume,
        overwrite=options.overwrite,
        license_text=about.license_text,
    ) as writer:
        check_resumed(writer, rows, decode)
        done = writer.count
        if progress is not None:
            progress(done, len(rows))
        for places, images in _batches(rows, done, decode, options.workers):
            _add(writer, rows, splits, places, images)
            done += len(places)
            if progress is not None:
                progress(done, len(rows))
    return Converted(folder, given, len(rows), duplicates, contradictory, splits.shared_subjects)


# -- pixels ----------------------------------------------------------------------------------------


class _Decoder:
    """A row's image as the dataset has it."""

    def __init__(self, recipe: Recipe, shape: tuple[int, ...], *, strict: bool) -> None:
        self.recipe = recipe
        self.shape = shape
        self._strict = strict

    def __call__(self, row: Row) -> NDArray[np.uint8]:
        pixels = row.pixels()
        if self._strict and not is_grey(pixels):
            raise InputError(
                "it has colours, and the images looked at first are grey; say channels=3, or"
                " channels=1 (--channels)"
            )
        image = self.recipe(pixels)
        if image.dtype != np.uint8 or image.shape != self.shape:
            raise InputError(
                f"the recipe makes it {image.dtype} {image.shape}; expected uint8 {self.shape}"
            )
        return image


def _shape(recipe: Recipe, channels: int, options: Options) -> tuple[int, ...]:
    """What the recipe makes of any image."""
    if options.recipe is None:
        return (options.side, options.side) if channels == 1 else (options.side, options.side, 3)
    probe = recipe(np.zeros((8, 8) if channels == 1 else (8, 8, 3), np.uint8))
    if probe.ndim not in (2, 3):
        raise InputError(
            f"the recipe makes images of shape {probe.shape}; expected (H, W) or (H, W, 3)"
        )
    return probe.shape


def _batches(
    rows: Rows, start: int, decode: _Decoder, threads: int
) -> Iterator[tuple[Indices, NDArray[np.uint8]]]:
    """Decoded images in order, a few MB at a time."""
    size = min(_LARGEST_BATCH, max(1, _BATCH_BYTES // int(np.prod(decode.shape))))
    places = np.arange(start, len(rows), dtype=np.int64)
    images = in_order(rows.read(places), lambda row: _tried(decode, row), threads)
    for first in range(0, len(places), size):
        batch = places[first : first + size]
        pixels = np.empty((len(batch), *decode.shape), np.uint8)
        for at, place in enumerate(batch.tolist()):
            found = next(images)
            if isinstance(found, Exception):
                raise unreadable(rows, place, found, images) from found
            pixels[at] = found
        yield batch, pixels


def _tried(decode: _Decoder, row: Row) -> NDArray[np.uint8] | Exception:
    try:
        return decode(row)
    except Exception as error:  # noqa: BLE001  # told later, with all others
        return error


# -- rows ------------------------------------------------------------------------------------------


def _add(
    writer: DatasetWriter, rows: Rows, splits: Splits, places: Indices, images: NDArray[np.uint8]
) -> None:
    listed = places.tolist()
    writer.add_batch(
        images,
        {name: values[places] for name, values in rows.labels.items()},
        splits=splits.final[places].tolist(),
        original_splits=(
            None
            if splits.original is None
            else [splits.original[place] or None for place in listed]
        ),
        original_filepaths=[rows.names[place] for place in listed],
        patient_ids=None if rows.subjects is None else rows.subjects[places].tolist(),
        stamps=None if rows.stamps is None else rows.stamps(places),
    )


def _draft(rows: Rows, about: About, decode: _Decoder, splits: Splits) -> DatasetDraft:
    height, width, *rest = decode.shape
    conversion = {
        "source": rows.kind,
        "preprocessing": decode.recipe.describe(),
        "rows": len(rows),
        "fingerprint": _fingerprint(rows, decode, splits),
    }
    return DatasetDraft(
        id=about.id,
        name=about.name or about.id,
        domain=about.domain,
        tasks=rows.tasks,
        input_size=(rest[0] if rest else 1, height, width),
        summary=about.summary,
        domain_overlaps=about.domain_overlaps,
        subject_overlaps=about.subject_overlaps,
        license=about.license,
        doi=about.doi,
        original_data=about.original_data,
        extra={**about.extra, "conversion": conversion},
    )


def _fingerprint(rows: Rows, decode: _Decoder, splits: Splits) -> str:
    """Of what is known without pixels: only with the same rows, labels and recipe does an
    interrupted one go on.
    """
    digest = hashlib.sha256(repr(decode.recipe).encode() + rows.content.encode())
    for texts in (rows.names, rows.subjects, splits.final, splits.original):
        digest.update(b"-" if texts is None else "\0".join(texts).encode())
    for name, labels in rows.labels.items():
        digest.update(name.encode() + np.ascontiguousarray(labels, "<i8").tobytes())
    return digest.hexdigest()
