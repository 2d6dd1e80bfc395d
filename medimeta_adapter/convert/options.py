"""What a conversion is told, and what it tells."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from medimeta_adapter.preprocess import PreprocessingStep, Recipe
from torchcross._kit.argument_checks import check_choice, checked_int

__all__ = ["About", "Converted", "Options", "Progress"]

_LONGEST_SIDE = 1 << 14
_SIDE = 224
"""Of the published datasets."""


class Progress(Protocol):
    """Called now and then with the number of rows done and the number of all."""

    def __call__(self, done: int, total: int, /) -> object: ...


@dataclass(frozen=True)
class About:
    """What info.yaml says about the dataset beside its tasks and counts; `id` is also the name of
    its folder.

    `license` goes into info.yaml, `license_text`, where given, into the file LICENSE.
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

    size         side of the square images that are written; None: arrays and MedMNIST stay as large
                 as they are, all else becomes 224
    channels     1 or 3; None: what the images are (the first image that says otherwise is an error
                 that names it)
    fit          "crop": the centre square; "pad": all of the image, with margins
    depth        how more than 8 bits become 8, as in ScaleByBits(12) or Window(40, 400)
    recipe       steps of one's own instead of size, fit and depth
    splits       "original": all three splits of the source are kept as they are; where one is
                 missing, it is drawn from training by subject, and training images of subjects in a
                 kept split join that split; "new": the source's splits are only recorded, and new
                 ones are drawn by subject (refused where the user's own splits are given, which are
                 final)
    fractions    of train, val and test where splits are drawn, and `seed` of the draw
    duplicates   "drop": of rows with the very same content the first stays, none where their labels
                 disagree
    limit        images per class of the first task at most, evenly spaced over the source; for
                 labels of yes and no: as many with each label, and as many without any
    threads      that decode images; None: one per core, 8 at most
    tiffs        whether a TIFF file is written for each image beside images.hdf5
    resume       go on where an interrupted conversion of the same rows stopped, which is refused
                 where labels, splits, options, files (by size and time) or pixels (of 32 rows)
                 differ; False: from the start
    overwrite    replace a dataset that is already there
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
        """Of the images that are written."""
        return self.size or _SIDE

    def sized(self, height: int, width: int) -> Options:
        """The same where images are of one size already: without a size, they keep theirs."""
        own = min(height, width) if self.fit == "crop" else max(height, width)
        return self if self.size is not None else replace(self, size=own)

    @property
    def workers(self) -> int:
        """Threads that decode."""
        return self.threads or min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class Converted:
    """A dataset that was written; it is taken as a path wherever a path is.

    given            rows of the source
    written          rows of the dataset
    duplicates       rows left out because an earlier one has the same content
    contradictory    rows left out because the same content stands there under several labels
    passed_over      files of a folder that are no images by their endings
    shared_subjects  subjects in several splits, where the source's own splits are kept as they are
    """

    folder: Path
    given: int
    written: int
    duplicates: int = 0
    contradictory: int = 0
    shared_subjects: int = 0
    passed_over: int = 0

    def __fspath__(self) -> str:
        return str(self.folder)

    def __str__(self) -> str:
        notes = {
            "duplicates left out": self.duplicates,
            "with contradictory labels left out": self.contradictory,
            "subjects stand in several splits": self.shared_subjects,
            "other files passed over": self.passed_over,
        }
        told = "".join(f", {count} {what}" for what, count in notes.items() if count)
        return f"{self.folder}: {self.written} of {self.given} rows{told}"
