"""Checks that the rows of an interrupted conversion are still those of the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medimeta_adapter.convert.decoder import Decoder, has_transparency, is_one_colour
from medimeta_adapter.convert.rows import Decoded, Rows
from medimeta_adapter.convert.unreadable_images import describe_error
from medimeta_adapter.writing.writer import DatasetWriter
from torchcross._kit.arrays import Indices, evenly_spaced
from torchcross.data.sources.image_files import list_some
from torchcross.errors import WriteError

_LOOKS = 32


def file_stamps(root: Path, names: Sequence[str]) -> Callable[[Indices], list[str]]:
    """Size and modification time of image files, for `Rows.stamps`."""
    return lambda places: [_stamp(root / names[place]) for place in places.tolist()]


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return "missing"
    return f"{status.st_size}:{status.st_mtime_ns}"


def check_resumed(writer: DatasetWriter, rows: Rows, decoder: Decoder, restart_advice: str) -> None:
    """Raise if a row that is written is another one now, and say what differs."""
    if not writer.count:
        return
    written = _WrittenRows(writer)
    differences = [*written.moved_rows(rows)] or [*written.changed_rows(rows)]
    differences = differences or [*_changed_pixels(writer, rows, decoder)]
    if differences:
        raise WriteError(
            f"{rows.kind} has changed since its conversion to {writer.folder} was interrupted, in"
            f" the {writer.count} rows that are written: {'; '.join(differences)}. Undo the"
            f" change, or {restart_advice}"
        )


class _WrittenRows:
    """What the journal knows of the rows that are written: a value per row for each column."""

    def __init__(self, writer: DatasetWriter) -> None:
        self.columns: dict[str, list[Any]] = {}
        for entry in writer.entries():
            columns = {f"label of {name!r}": values for name, values in entry["labels"].items()}
            columns |= {"name": entry["files"], "subject": entry["patients"]}
            columns |= {"original split": entry["original_splits"]}
            columns |= {"size or time of the file": entry.get("stamps")}
            for name, values in columns.items():
                self.columns.setdefault(name, []).extend(values or [None] * entry["rows"])

    def moved_rows(self, rows: Rows) -> Iterator[str]:
        """Sentences about images that vanished, appeared, or changed their order."""
        earlier, now = self.columns["name"], list(rows.names)
        if earlier == now[: len(earlier)]:
            return
        reasons = {entry.name: f"{entry.name} ({entry.reason})" for entry in rows.left_out}
        known_now, known_earlier = set(now), set(earlier)
        vanished = [reasons.get(name, name) for name in earlier if name not in known_now]
        # Images behind the last that is written are no obstacle.
        last = max((place for place, name in enumerate(now) if name in known_earlier), default=-1)
        appeared = [name for name in now[:last] if name not in known_earlier]
        if vanished:
            yield f"{len(vanished)} vanished: {list_some(vanished)}"
        if appeared:
            yield f"{len(appeared)} appeared: {list_some(appeared)}"
        if not vanished and not appeared:
            pairs = enumerate(zip(earlier, now, strict=False))
            place = next((at for at, (before, after) in pairs if before != after), len(now))
            yield f"the order differs from row {place} on, which was {earlier[place]}"

    def changed_rows(self, rows: Rows) -> Iterator[str]:
        """Sentences about rows of the same names, in the same order."""
        count = len(self.columns["name"])
        now: dict[str, list[Any]] = {
            f"label of {name!r}": values[:count].tolist() for name, values in rows.labels.items()
        }
        for name, texts in (("subject", rows.subjects), ("original split", rows.original_splits)):
            column = [""] * count if texts is None else texts[:count].tolist()
            now[name] = [text or None for text in column]
        if rows.stamps is not None:
            now["size or time of the file"] = rows.stamps(np.arange(count, dtype=np.int64))
        for name, values in now.items():
            pairs = zip(self.columns[name], values, strict=True)
            changed = [at for at, (before, after) in enumerate(pairs) if before != after]
            if changed:
                names = [str(rows.names[at]) for at in changed]
                yield f"the {name} of {list_some(names)} differs"


def _changed_pixels(writer: DatasetWriter, rows: Rows, decoder: Decoder) -> Iterator[str]:
    """A sentence about the first of some rows that has other pixels now."""
    places = _places_to_decode(writer, rows)
    for place, row in zip(places.tolist(), rows.read(places), strict=True):
        try:
            pixels = decoder(row, place)
        except Exception as error:  # noqa: BLE001  # it is told as what differs
            yield f"{rows.names[place]} cannot be read: {describe_error(error)}"
            return
        if not np.array_equal(pixels, writer.pixels(place)):
            yield f"the pixels of {rows.names[place]} differ"
            return


def _places_to_decode(writer: DatasetWriter, rows: Rows) -> Indices:
    """Evenly spaced rows, and all whose image has one colour.

    Of these the decoder notes again which lost their content to the background.
    """
    places = evenly_spaced(writer.count, _LOOKS)
    (first,) = rows.read(places[:1])
    # All rows of an array have the same channels: where one has no transparency, none has.
    if isinstance(first, Decoded) and not has_transparency(first.pixels()):
        return places
    of_one_colour = [row for row in range(writer.count) if is_one_colour(writer.pixels(row))]
    return np.union1d(places, np.array(of_one_colour, np.int64))
