"""The options of a conversion, and its result."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from medimeta_adapter.preprocess import PreprocessingStep, Recipe
from torchcross._kit.argument_checks import check_choice, checked_int

_LONGEST_SIDE = 1 << 14
_SIDE = 224
"""The side of the published images."""


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
    depth        how to reduce more than 8 bits to 8, as in ScaleByBits(12) or Window(40, 400)
    recipe       your own steps instead of size, fit and depth
    splits       "original": keep the three splits of the source. A missing split is drawn from
                 training by subject, and training images of subjects in a kept split join that
                 split. "new": record the source's splits and draw new ones by subject (an error if
                 you give splits yourself, because those are final)
    fractions    of train, val and test for new splits; `seed` is the seed of the draw
    duplicates   "drop": of rows with equal content the first stays, or none if their labels differ
    limit        at most so many images per class of the first task, evenly spaced over the source;
                 for multilabel tasks, so many with each label and so many without any label
    threads      decoding threads; None: one per core, at most 8
    tiffs        whether to write one TIFF file per image beside images.hdf5
    resume       continue an interrupted conversion of the same rows. It is an error if labels,
                 splits, options, files (by size and time) or pixels (of 32 rows) differ. False:
                 start again
    overwrite    replace an existing dataset
    """

    size: int | None = None
    channels: Literal[1, 3] | None = None
    fit: Literal["crop", "pad"] = "crop"
    depth: PreprocessingStep | None = None
    recipe: Recipe | None = None
    splits: Literal["original", "new"] = "original"
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
    seed: int = 0
    duplicates: Literal["keep", "drop"] = "keep"
    limit: int | None = None
    threads: int | None = None
    tiffs: bool = True
    resume: bool = True
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_choice("channels", self.channels, (None, 1, 3))
        check_choice("fit", self.fit, ("crop", "pad"))
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
    duplicates       rows left out because an earlier row has the same content
    contradictory    rows left out because the same content has several labels
    passed_over      files of a folder whose endings are not those of images
    hidden           hidden files and folders of a folder, which are passed over too
    shared_subjects  subjects in several splits, if the source's own splits are kept
    """

    folder: Path
    given: int
    written: int
    duplicates: int = 0
    contradictory: int = 0
    shared_subjects: int = 0
    passed_over: int = 0
    hidden: int = 0

    def __fspath__(self) -> str:
        return str(self.folder)

    def __str__(self) -> str:
        notes = {
            "duplicates left out": self.duplicates,
            "with contradictory labels left out": self.contradictory,
            "subjects are in several splits": self.shared_subjects,
            "other files passed over": self.passed_over,
            "hidden files or folders passed over": self.hidden,
        }
        text = "".join(f", {count} {note}" for note, count in notes.items() if count)
        return f"{self.folder}: {self.written} of {self.given} rows{text}"
