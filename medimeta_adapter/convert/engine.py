"""From rows to a dataset: filter, split, decode in threads, write in order, in bounded memory."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.decoder import Decoder, decisive_options
from medimeta_adapter.convert.left_out import LEFT_OUT_FILE, left_out_table, row_counts
from medimeta_adapter.convert.options import About, Converted, Options, Progress
from medimeta_adapter.convert.resumed import check_resumed
from medimeta_adapter.convert.row_filters import drop_duplicates, drop_unreadable, limit_per_class
from medimeta_adapter.convert.rows import Row, Rows, Texts
from medimeta_adapter.convert.splits import Splits, assign_splits
from medimeta_adapter.convert.unlabelled_images import (
    UNLABELLED_FILE,
    unlabelled_counts,
    unlabelled_images,
    unlabelled_table,
)
from medimeta_adapter.convert.unreadable_images import SKIP_ADVICE, unreadable_images_error
from medimeta_adapter.writing.draft import DatasetDraft
from medimeta_adapter.writing.partial import check_free
from medimeta_adapter.writing.progress import PassProgress
from medimeta_adapter.writing.writer import DatasetWriter
from torchcross._kit.arrays import Indices
from torchcross._kit.backgrounds import BACKGROUNDS
from torchcross._kit.threads import results_in_order
from torchcross.data.sources.image_files import list_some
from torchcross.errors import TorchcrossWarning

_BATCH_BYTES = 32 << 20
_LARGEST_BATCH = 1024
_RESTART_ADVICE = "start again with resume=False (--restart)"


def check_target(out: str | Path, about: About, options: Options) -> None:
    """Raise before anything is read if the dataset cannot be written to its place."""
    check_free((Path(out) / about.id).absolute(), overwrite=options.overwrite)


def build(
    rows: Rows,
    out: str | Path,
    about: About,
    options: Options,
    progress: Progress | None = None,
    *,
    restart_advice: str = _RESTART_ADVICE,
) -> Converted:
    """Write the dataset `out/<id>`."""
    check_target(out, about, options)
    source_rows = len(rows)
    bar = PassProgress(progress, source_rows, _number_of_passes(options))
    rows = _selected_rows(rows, options, bar)
    splits = assign_splits(rows, options)
    decoder = Decoder(rows, options)
    folder = Path(out) / about.id
    writer = DatasetWriter(
        folder,
        _draft(rows, about, decoder),
        total=len(rows),
        tiffs=options.tiffs,
        resume=options.resume,
        overwrite=options.overwrite,
        license_text=about.license_text,
        further_files=_further_files(rows),
        further_info={"conversion": _conversion(rows, decoder, splits)},
        made_from=decisive_options(options, rows, decoder),
        restart_advice=restart_advice,
        progress=bar,
    )
    with _warned_of_blank_images(decoder, rows, options), writer:
        check_resumed(writer, rows, decoder, restart_advice)
        done = writer.count
        bar(done, len(rows))
        for places, images in _batches(rows, done, decoder, options):
            _add(writer, rows, splits, places, images)
            done += len(places)
            bar(done, len(rows))
        bar.finish_pass()
        # In the end: the rows behind those of an interrupted conversion may have changed.
        writer.assign_splits(splits.final)
    bar.finish()
    shared = splits.shared_subjects
    return Converted(
        folder=folder,
        given=source_rows,
        written=len(rows),
        shared_subjects=shared,
        left_out=rows.left_out,
        notes=rows.notes,
        unlabelled=unlabelled_images(rows),
    )


def _further_files(rows: Rows) -> dict[str, str]:
    files = {LEFT_OUT_FILE: left_out_table(rows.left_out)} if rows.left_out else {}
    if unlabelled := unlabelled_images(rows):
        files[UNLABELLED_FILE] = unlabelled_table(unlabelled)
    return files


def _number_of_passes(options: Options) -> int:
    return 1 + options.skip_unreadable + (options.duplicates == "drop") + options.tiffs


def _selected_rows(rows: Rows, options: Options, bar: PassProgress) -> Rows:
    if options.skip_unreadable:
        rows = drop_unreadable(rows, options, bar)
        bar.finish_pass()
    if options.duplicates == "drop":
        rows = drop_duplicates(rows, options, bar)
        bar.finish_pass()
    rows = limit_per_class(rows, options)
    bar.rows = len(rows)
    return rows


@contextmanager
def _warned_of_blank_images(decoder: Decoder, rows: Rows, options: Options) -> Iterator[None]:
    """Warn of images that became one colour, when all is done or has failed."""
    try:
        yield
    finally:
        if names := [rows.names[place] for place in sorted(decoder.blank_places)]:
            others = " or ".join(
                f"background={name!r} (--background {name})"
                for name in BACKGROUNDS
                if name != options.background
            )
            warnings.warn(
                f"{len(names)} of {len(rows)} images of {rows.origin} become one colour, because"
                f" their transparent parts are laid over {options.background}:"
                f" {list_some(names)}; give {others}",
                TorchcrossWarning,
                stacklevel=2,
            )


# -- pixels ----------------------------------------------------------------------------------------


def _batches(
    rows: Rows, start: int, decoder: Decoder, options: Options
) -> Iterator[tuple[Indices, NDArray[np.uint8]]]:
    """Decoded images in order, a few MB at a time."""
    size = min(_LARGEST_BATCH, max(1, _BATCH_BYTES // int(np.prod(decoder.shape))))
    places = np.arange(start, len(rows), dtype=np.int64)
    numbered_rows = zip(rows.read(places), places.tolist(), strict=True)
    images = results_in_order(
        numbered_rows, lambda pair: _decode_or_error(decoder, *pair), options.workers
    )
    for first in range(0, len(places), size):
        batch = places[first : first + size]
        pixels = np.empty((len(batch), *decoder.shape), np.uint8)
        for at, place in enumerate(batch.tolist()):
            image = next(images)
            if isinstance(image, Exception):
                can_skip = rows.are_files and not options.skip_unreadable
                advice = SKIP_ADVICE if can_skip else "leave them out"
                raise unreadable_images_error(rows, place, image, images, advice) from image
            pixels[at] = image
        yield batch, pixels


def _decode_or_error(decoder: Decoder, row: Row, place: int) -> NDArray[np.uint8] | Exception:
    try:
        return decoder(row, place)
    except Exception as error:  # noqa: BLE001  # reported later, together with all others
        return error


# -- rows ------------------------------------------------------------------------------------------


def _add(
    writer: DatasetWriter, rows: Rows, splits: Splits, places: Indices, images: NDArray[np.uint8]
) -> None:
    def texts_or_none(column: Texts | None) -> list[str | None] | None:
        return None if column is None else [text or None for text in column[places].tolist()]

    writer.add_batch(
        images,
        {name: values[places] for name, values in rows.labels.items()},
        splits=None,
        original_splits=texts_or_none(splits.original),
        original_filepaths=[rows.names[place] for place in places.tolist()],
        patient_ids=texts_or_none(rows.subjects),
        stamps=None if rows.stamps is None else rows.stamps(places),
    )


def _draft(rows: Rows, about: About, decoder: Decoder) -> DatasetDraft:
    height, width, *rest = decoder.shape
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
        extra=about.extra,
    )


def _conversion(rows: Rows, decoder: Decoder, splits: Splits) -> dict[str, Any]:
    """The record of the conversion in info.yaml."""
    record: dict[str, Any] = {
        "source": rows.kind,
        "preprocessing": decoder.recipe.describe(),
        "rows": len(rows),
        "fingerprint": _fingerprint(rows, decoder, splits),
    }
    if counts := row_counts(rows.left_out):
        record["left_out"] = counts
    if unlabelled := unlabelled_counts(unlabelled_images(rows)):
        record["unlabelled"] = unlabelled
    return record


def _fingerprint(rows: Rows, decoder: Decoder, splits: Splits) -> str:
    """A hash of rows, labels, splits and recipe: equal for equal conversions alone."""
    digest = hashlib.sha256(repr(decoder.recipe).encode() + rows.content.encode())
    for texts in (rows.names, rows.subjects, splits.final, splits.original):
        digest.update(b"-" if texts is None else "\0".join(texts).encode())
    for name, labels in rows.labels.items():
        digest.update(name.encode() + np.ascontiguousarray(labels, "<i8").tobytes())
    return digest.hexdigest()
