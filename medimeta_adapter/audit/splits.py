"""Split files, read line by line so that everything wrong is found, not the first of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from medimeta_adapter.audit.audited_dataset import SPLITS, Opened
from medimeta_adapter.audit.findings import Findings
from medimeta_adapter.format.files import path_inside, read_small_file
from medimeta_adapter.format.info import SplitCounts
from medimeta_adapter.format.splits import image_index
from torchcross._kit.arrays import Indices
from torchcross.errors import DatasetFileError

__all__ = ["audit_splits"]

_LONGEST_LINE = 256


def audit_splits(opened: Opened, findings: Findings) -> None:
    """Fills `opened.splits` with the rows that are sound."""
    info = opened.info
    opened.splits = _audit_folder(opened, "splits", info.splits_num_samples, findings)
    original = opened.original_splits = _audit_folder(
        opened, "original_splits", info.original_splits_num_samples, findings
    )
    _audit_cover(opened, "splits", opened.splits, findings)
    if original:
        _audit_cover(opened, "original_splits", original, findings)


def _audit_folder(
    opened: Opened, folder: str, counts: SplitCounts, findings: Findings
) -> dict[str, Indices]:
    found: dict[str, Indices] = {}
    for split in SPLITS:
        expected = getattr(counts, split)
        place = f"{folder}/{split}.txt"
        where = {"file": place, "field": f"{folder}_num_samples.{split}"}
        path = opened.folder / folder / f"{split}.txt"
        if not os.path.lexists(path):
            if expected:
                message = f"no such file, and info.yaml counts {expected:,} samples in it"
                findings.error("split-missing", opened.name, message, **where)
            continue
        try:
            lines = _lines(path, opened)
        except DatasetFileError as error:
            findings.error("split-unreadable", opened.name, str(error), file=place)
            continue
        if len(lines) != expected:
            message = f"{len(lines):,} lines; info.yaml counts {expected:,}"
            findings.error(
                "split-count", opened.name, message, count=abs(len(lines) - expected), **where
            )
        found[split] = _rows(opened, place, lines, findings)
    _audit_shared(opened, folder, found, findings)
    return found


def _lines(path: Path, opened: Opened) -> list[str]:
    # Twice the rows and room for a line each: what is longer is no split of this dataset.
    content = read_small_file(
        path_inside(opened.boundary, path), _LONGEST_LINE * (2 * opened.count + 16), "a split"
    )
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DatasetFileError(
            f"{path}: byte {error.start} is no UTF-8; a split lists one image path a line"
        ) from None
    return [line for line in map(str.strip, lines) if line]


def _rows(opened: Opened, place: str, lines: Sequence[str], findings: Findings) -> Indices:
    """The sound rows of one file; the other lines are told by kind, with their numbers."""
    bad: dict[str, list[str]] = {"leaves": [], "foreign": [], "outside": []}
    rows = np.full(len(lines), -1, dtype=np.int64)
    for number, line in enumerate(lines):
        kind, row = _judge(line, opened.count)
        if kind:
            bad[kind].append(f"line {number + 1}: {line[:80]!r}")
        rows[number] = row
    messages = {
        "leaves": (
            "split-path-leaves-folder",
            "a path that leaves the dataset's folder; nothing was opened there",
        ),
        "foreign": ("split-line-foreign", "not of the form images/000123.tiff"),
        "outside": ("split-out-of-range", f"rows outside 0..{opened.count - 1}"),
    }
    for kind, (code, message) in messages.items():
        if bad[kind]:
            findings.error(
                code, opened.name, message, file=place, count=len(bad[kind]), examples=bad[kind]
            )
    rows = rows[rows >= 0]
    distinct, times = np.unique(rows, return_counts=True)
    if (twice := distinct[times > 1]).size:
        message = "rows listed more than once"
        findings.error(
            "split-duplicate", opened.name, message, file=place, count=len(twice), examples=twice
        )
    return distinct


def _judge(line: str, count: int) -> tuple[str, int]:
    """What is wrong with a line, and its row where nothing is."""
    row = image_index(line)
    if row is not None:
        return ("", row) if row < count else ("outside", -1)
    path = PurePosixPath(line.replace("\\", "/"))
    leaves = path.is_absolute() or ".." in path.parts or (len(line) > 1 and line[1] == ":")
    return ("leaves" if leaves else "foreign"), -1


def _audit_shared(
    opened: Opened, folder: str, found: dict[str, Indices], findings: Findings
) -> None:
    names = list(found)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            if (shared := np.intersect1d(found[one], found[other])).size:
                message = f"rows in both {one} and {other}"
                findings.error(
                    "split-shared-rows",
                    opened.name,
                    message,
                    file=folder,
                    count=len(shared),
                    examples=shared,
                )


def _audit_cover(
    opened: Opened, folder: str, found: dict[str, Indices], findings: Findings
) -> None:
    """Rows in no split, and counts in info.yaml that do not add up."""
    counts: SplitCounts = getattr(opened.info, f"{folder}_num_samples")
    if counts.total and counts.total != opened.count:
        message = f"the splits sum to {counts.total:,}, total_num_samples is {opened.count:,}"
        tell = findings.warning if folder == "splits" else findings.note
        tell("split-sum", opened.name, message, file="info.yaml", field=f"{folder}_num_samples")
    covered = np.zeros(opened.count, dtype=bool)
    for rows in found.values():
        covered[rows] = True
    rest = np.flatnonzero(~covered)
    if len(rest) and (folder == "splits" or found):
        tell = findings.warning if folder == "splits" else findings.note
        tell(
            "split-rows-unassigned",
            opened.name,
            "rows in no split",
            file=folder,
            count=len(rest),
            examples=rest,
        )
