"""The options of a conversion, and its result."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from medimeta_adapter.convert.left_out import LEFT_OUT_FILE, LeftOut, LeftOutReason, names_left_out
from medimeta_adapter.convert.unlabelled_images import (
    UNLABELLED_FILE,
    Unlabelled,
    unlabelled_counts,
)
from medimeta_adapter.preprocess import PreprocessingStep, Recipe
from torchcross._kit.argument_checks import check_choice, checked_int
from torchcross._kit.backgrounds import BACKGROUNDS, DEFAULT_BACKGROUND, Background

_LONGEST_SIDE = 1 << 14
_SIDE = 224
"""The side of the published images."""
_MOST_NAMED, _MOST_UNREADABLE = 10, 1000


class Progress(Protocol):
    """Called from time to time with the number of rows done and the number of all rows."""

    def __call__(self, done: int, total: int, /) -> object: ...


@dataclass(frozen=True)
class About:
    """The description of a dataset without its tasks and counts.

    `id` is also the name of its folder. `license` goes into info.yaml, and `license_text`, if there
    is one, into the file LICENSE.
    """

    id: str
    domain: str
    name: str = ""
    summary: str = ""
    license: str = ""
    license_text: str | None = None
    doi: str = ""
    domain_overlaps: tuple[str, ...] = ()
    subject_overlaps: tuple[str, ...] = ()
    original_data: tuple[Mapping[str, Any], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Options:
    """How images become rows.

    size         side of the square images; None: arrays and MedMNIST keep their size, all other
                 images get 224
    channels     1 or 3; None: as the images have (a later image that differs is an error that names
                 it)
    fit          "crop": the centre square; "pad": the whole image, with margins
    background   what stands behind transparent parts: "white", "grey" or "black". A warning names
                 images that become one colour
    depth        how to reduce more than 8 bits to 8, as in ScaleByBits(12) or Window(40, 400)
    recipe       your own steps instead of size, fit, background and depth
    splits       "original": keep the three splits of the source. A missing split is drawn from
                 training by subject, and training images of subjects in a kept split join that
                 split. "new": record the source's splits and draw new ones by subject (an error if
                 you give splits yourself, because those are final)
    fractions    of train, val and test for new splits; `seed` is the seed of the draw
    duplicates   "drop": of rows with equal content the first stays, or none if their labels differ
    skip_unreadable  leave out images that cannot be loaded, and list them. Every image is loaded
                 once more for that. Otherwise one unreadable image is an error
    limit        at most so many images per class of the first task, evenly spaced over the source;
                 for multilabel tasks, so many with each label and so many without any label
    threads      decoding threads; None: one per core, at most 8
    tiffs        whether to write one TIFF file per image beside images.hdf5
    resume       continue an interrupted conversion. It is an error if, of the rows that are
                 written, names, order, labels, subjects, original splits, files (by size and time)
                 or pixels (of 32 rows) differ, or options that decide on pixels; rows behind them
                 may differ. False: start again
    overwrite    replace an existing dataset
    """

    size: int | None = None
    channels: Literal[1, 3] | None = None
    fit: Literal["crop", "pad"] = "crop"
    background: Background = DEFAULT_BACKGROUND
    depth: PreprocessingStep | None = None
    recipe: Recipe | None = None
    splits: Literal["original", "new"] = "original"
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
    seed: int = 0
    duplicates: Literal["keep", "drop"] = "keep"
    skip_unreadable: bool = False
    limit: int | None = None
    threads: int | None = None
    tiffs: bool = True
    resume: bool = True
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_choice("channels", self.channels, (None, 1, 3))
        check_choice("fit", self.fit, ("crop", "pad"))
        check_choice("background", self.background, BACKGROUNDS)
        check_choice("splits", self.splits, ("original", "new"))
        check_choice("duplicates", self.duplicates, ("keep", "drop"))
        if self.size is not None:
            checked_int("size", self.size, most=_LONGEST_SIDE)
        if self.limit is not None:
            checked_int("limit", self.limit)
        if self.threads is not None:
            checked_int("threads", self.threads, most=256)

    @property
    def side(self) -> int:
        """The side of the images that are written."""
        return self.size or _SIDE

    def with_size_of(self, height: int, width: int) -> Options:
        """Options for images of one common size: without `size`, the images keep theirs."""
        own = min(height, width) if self.fit == "crop" else max(height, width)
        return self if self.size is not None else replace(self, size=own)

    @property
    def workers(self) -> int:
        """The number of decoding threads."""
        return self.threads or min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Converted:
    """A dataset that was written. It can be used as a path.

    given            rows of the source
    written          rows of the dataset
    shared_subjects  subjects in several splits, if the source's own splits are kept
    left_out         rows, files and folders of the source that are not in the dataset, without
                     those beyond `Options.limit`; left_out.csv in the dataset lists them too
    notes            further sentences about the source
    unlabelled       images of the dataset whose label is unknown; unlabelled.csv lists them too
    """

    folder: Path
    given: int
    written: int
    shared_subjects: int = 0
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    unlabelled: tuple[Unlabelled, ...] = ()

    @property
    def duplicates(self) -> int:
        """Rows left out because an earlier row has the same content."""
        return len(names_left_out(self.left_out, LeftOutReason.DUPLICATE))

    @property
    def contradictory(self) -> int:
        """Rows left out because the same content has several labels."""
        return len(names_left_out(self.left_out, LeftOutReason.CONTRADICTORY))

    @property
    def unreadable(self) -> int:
        """Rows left out because their image cannot be read."""
        return len(names_left_out(self.left_out, LeftOutReason.UNREADABLE))

    @property
    def passed_over(self) -> int:
        """Files of a folder whose endings are not those of images."""
        return len(names_left_out(self.left_out, LeftOutReason.OTHER_FILE))

    def __fspath__(self) -> str:
        return str(self.folder)

    def __str__(self) -> str:
        counts = {
            "unreadable left out": self.unreadable,
            "duplicates left out": self.duplicates,
            "with contradictory labels left out": self.contradictory,
            "without a label left out": self._count(LeftOutReason.UNLABELLED),
            "subjects are in several splits": self.shared_subjects,
            "other files passed over": self.passed_over,
            "hidden files or folders passed over": self._count(LeftOutReason.HIDDEN),
            "folders without images": self._count(LeftOutReason.EMPTY_FOLDER),
        }
        for task, count in unlabelled_counts(self.unlabelled).items():
            counts[f"with an unknown label of {task!r} stay"] = count
        text = "".join(f", {count} {note}" for note, count in counts.items() if count)
        return f"{self.folder}: {self.written} of {self.given} rows{text}"

    def describe(self) -> str:
        """The result in lines: with the notes, and the names of what is left out."""
        lines = [str(self), *self.notes]
        for reason in LeftOutReason:
            entries = [entry for entry in self.left_out if entry.reason is reason]
            most = _MOST_UNREADABLE if reason is LeftOutReason.UNREADABLE else _MOST_NAMED
            if entries:
                lines += [f"{reason.value}:", *_first_lines(entries, most)]
        if self.left_out:
            lines.append(f"{self.folder / LEFT_OUT_FILE} lists all that is left out")
        if self.unlabelled:
            lines += ["with an unknown label:", *_first_lines(self.unlabelled, _MOST_NAMED)]
            lines.append(f"{self.folder / UNLABELLED_FILE} lists all images with an unknown label")
        return "\n".join(lines)

    def _count(self, reason: LeftOutReason) -> int:
        return len(names_left_out(self.left_out, reason))


def _first_lines(entries: Sequence[LeftOut | Unlabelled], most: int) -> list[str]:
    lines = [f"  {entry}" for entry in entries[:most]]
    return lines if len(entries) <= most else [*lines, f"  and {len(entries) - most} more"]
