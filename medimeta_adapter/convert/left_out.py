"""What of a source is not in its dataset, and why: rows that were left out, files passed over."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from torchcross._kit.spreadsheet_cells import cell_of_text
from torchcross.data.sources.image_files import ImageFiles

LEFT_OUT_FILE = "left_out.csv"


class LeftOutReason(StrEnum):
    """Why something is left out; the value stands in left_out.csv."""

    UNREADABLE = "unreadable"
    DUPLICATE = "duplicate"
    CONTRADICTORY = "contradictory labels"
    UNLABELLED = "without a label"
    OTHER_FILE = "no image by its ending"
    HIDDEN = "hidden"
    EMPTY_FOLDER = "folder without images"


ROW_REASONS = (
    LeftOutReason.UNREADABLE,
    LeftOutReason.DUPLICATE,
    LeftOutReason.CONTRADICTORY,
    LeftOutReason.UNLABELLED,
)
"""Reasons for which a row is left out; the others are those of files and folders."""


@dataclass(frozen=True)
class LeftOut:
    """A row, file or folder that is not in the dataset. `detail` says more, or is empty.

    >>> from medimeta_adapter.convert import LeftOut, LeftOutReason
    >>> entry = LeftOut("scan_7.png", LeftOutReason.DUPLICATE, "same as scan_3.png")
    >>> print(f"{entry.reason}: {entry}")
    duplicate: scan_7.png (same as scan_3.png)
    """

    name: str
    reason: LeftOutReason
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.detail})" if self.detail else self.name


def passed_over_files(listing: ImageFiles) -> tuple[LeftOut, ...]:
    """What a converter of a folder passes over."""
    groups = {
        LeftOutReason.OTHER_FILE: listing.others,
        LeftOutReason.HIDDEN: listing.hidden,
        LeftOutReason.EMPTY_FOLDER: listing.folders_without_images,
    }
    return tuple(LeftOut(name, reason) for reason, names in groups.items() for name in names)


def names_left_out(entries: Iterable[LeftOut], reason: LeftOutReason) -> list[str]:
    return [entry.name for entry in entries if entry.reason is reason]


def row_counts(entries: Iterable[LeftOut]) -> dict[str, int]:
    """The number of rows left out by reason, without reasons that have none."""
    counts = Counter(entry.reason for entry in entries)
    return {str(reason): counts[reason] for reason in ROW_REASONS if counts[reason]}


def left_out_table(entries: Sequence[LeftOut]) -> str:
    """The text of left_out.csv."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["name", "reason", "detail"])
    for entry in entries:
        cells = (cell_of_text(text) for text in (entry.name, entry.reason.value, entry.detail))
        writer.writerow(list(cells))
    # A file that is passed over may have a name that is not Unicode text.
    return file.getvalue().encode("utf-8", "backslashreplace").decode()
