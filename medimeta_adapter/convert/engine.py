"""From rows to a dataset: filter, split, decode in threads, write in order, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.resumed import check_resumed
from medimeta_adapter.convert.row_filters import drop_duplicates, limit_per_class
from medimeta_adapter.convert.rows import Row, Rows, is_grey
from medimeta_adapter.convert.splits import Splits, assign_splits
from medimeta_adapter.convert.unreadable_images import unreadable_images_error
from medimeta_adapter.preprocess import Recipe, standard
from medimeta_adapter.writing.draft import DatasetDraft
from medimeta_adapter.writing.partial import check_free
from medimeta_adapter.writing.writer import DatasetWriter
from torchcross._kit.arrays import Indices
from torchcross._kit.threads import results_in_order
from torchcross.errors import InputError

_BATCH_BYTES = 32 << 20
_LARGEST_BATCH = 1024


def check_target(out: str | Path, about: About, options: Options) -> None:
    """Raise before anything is read if the dataset cannot be written to its place."""
    check_free((Path(out) / about.id).absolute(), overwrite=options.overwrite)


def build(
    rows: Rows, out: str | Path, about: About, options: Options, progress: Progress | None = None
) -> Converted:
    """Write the dataset `out/<id>`."""
    check_target(out, about, options)
    source_rows = len(rows)
    rows, duplicates, contradictory = drop_duplicates(rows, options)
    rows = limit_per_class(rows, options)
    splits = assign_splits(rows, options)
    channels = options.channels or rows.channels
    recipe = options.recipe or standard(options.side, channels, options.fit, depth=options.depth)
    only_grey = options.channels is None and channels == 1
    decode = _Decoder(recipe, _shape(recipe, channels, options), only_grey=only_grey)
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
    written, shared = len(rows), splits.shared_subjects
    return Converted(folder, source_rows, written, duplicates, contradictory, shared)


# -- pixels ----------------------------------------------------------------------------------------


class _Decoder:
    """Decodes a row into an image of the dataset."""

    def __init__(self, recipe: Recipe, shape: tuple[int, ...], *, only_grey: bool) -> None:
        self.recipe = recipe
        self.shape = shape
        self._only_grey = only_grey

    def __call__(self, row: Row) -> NDArray[np.uint8]:
        pixels = row.pixels()
        if self._only_grey and not is_grey(pixels):
            raise InputError(
                "it has colours, but the images that were sampled first are grey; give channels=3"
                " or channels=1 (--channels)"
            )
        image = self.recipe(pixels)
        if image.dtype != np.uint8 or image.shape != self.shape:
            raise InputError(
                f"the recipe makes it {image.dtype} {image.shape}; expected uint8 {self.shape}"
            )
        return image


def _shape(recipe: Recipe, channels: int, options: Options) -> tuple[int, ...]:
    """The shape of every image that the recipe makes."""
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
    images = results_in_order(rows.read(places), lambda row: _decode_or_error(decode, row), threads)
    for first in range(0, len(places), size):
        batch = places[first : first + size]
        pixels = np.empty((len(batch), *decode.shape), np.uint8)
        for at, place in enumerate(batch.tolist()):
            image = next(images)
            if isinstance(image, Exception):
                raise unreadable_images_error(rows, place, image, images) from image
            pixels[at] = image
        yield batch, pixels


def _decode_or_error(decode: _Decoder, row: Row) -> NDArray[np.uint8] | Exception:
    try:
        return decode(row)
    except Exception as error:  # noqa: BLE001  # reported later, together with all others
        return error


# -- rows ------------------------------------------------------------------------------------------


def _add(
    writer: DatasetWriter, rows: Rows, splits: Splits, places: Indices, images: NDArray[np.uint8]
) -> None:
    original_splits = None
    if splits.original is not None:
        original_splits = [split or None for split in splits.original[places].tolist()]
    subjects = None if rows.subjects is None else rows.subjects[places].tolist()
    writer.add_batch(
        images,
        {name: values[places] for name, values in rows.labels.items()},
        splits=splits.final[places].tolist(),
        original_splits=original_splits,
        original_filepaths=[rows.names[place] for place in places.tolist()],
        patient_ids=subjects,
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
    """A hash of rows, labels, splits and recipe: an interrupted conversion resumes only if it is
    equal.
    """
    digest = hashlib.sha256(repr(decode.recipe).encode() + rows.content.encode())
    for texts in (rows.names, rows.subjects, splits.final, splits.original):
        digest.update(b"-" if texts is None else "\0".join(texts).encode())
    for name, labels in rows.labels.items():
        digest.update(name.encode() + np.ascontiguousarray(labels, "<i8").tobytes())
    return digest.hexdigest()
