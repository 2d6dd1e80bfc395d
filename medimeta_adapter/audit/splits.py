"""Checks split files line by line, so that everything wrong is found and not the first of it."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path, PurePosixPath

import numpy as np

from medimeta_adapter.audit.audited_dataset import AuditedDataset
from medimeta_adapter.audit.findings import Findings, Severity
from medimeta_adapter.format.files import path_inside, read_small_file
from medimeta_adapter.format.info import SplitCounts
from medimeta_adapter.format.splits import SPLITS, image_index
from torchcross._kit.arrays import Indices
from torchcross.errors import DatasetFileError

_LONGEST_LINE = 256


def audit_splits(dataset: AuditedDataset, findings: Findings) -> None:
    """Check both kinds of splits, and fill `dataset.splits` with the rows that are valid."""
    dataset.splits = _audit_folder(dataset, "splits", findings)
    dataset.original_splits = _audit_folder(dataset, "original_splits", findings)
    _audit_cover(dataset, "splits", dataset.splits, Severity.WARNING, findings)
    if dataset.original_splits:
        _audit_cover(dataset, "original_splits", dataset.original_splits, Severity.NOTE, findings)


def _counts(dataset: AuditedDataset, folder: str) -> SplitCounts:
    counts: SplitCounts = getattr(dataset.info, f"{folder}_num_samples")
    return counts


def _audit_folder(dataset: AuditedDataset, folder: str, findings: Findings) -> dict[str, Indices]:
    """Return the valid rows of each split that can be read."""
    splits: dict[str, Indices] = {}
    for split in SPLITS:
        expected = getattr(_counts(dataset, folder), split)
        file = f"{folder}/{split}.txt"
        where = {"file": file, "field": f"{folder}_num_samples.{split}"}
        path = dataset.folder / folder / f"{split}.txt"
        if not os.path.lexists(path):
            if expected:
                findings.error(
                    "split-missing",
                    dataset.name,
                    f"no such file, but info.yaml counts {expected:,} samples in it",
                    **where,
                )
            continue
        try:
            lines = _lines(path, dataset)
        except DatasetFileError as error:
            findings.error("split-unreadable", dataset.name, str(error), file=file)
            continue
        findings.error(
            "split-count",
            dataset.name,
            f"{len(lines):,} lines; info.yaml counts {expected:,}",
            count=abs(len(lines) - expected),
            **where,
        )
        splits[split] = _audit_lines(dataset, file, lines, findings)
    for one, other in combinations(splits, 2):
        findings.error(
            "split-shared-rows",
            dataset.name,
            f"rows in both {one} and {other}",
            file=folder,
            examples=np.intersect1d(splits[one], splits[other]),
        )
    return splits


def _lines(path: Path, dataset: AuditedDataset) -> list[str]:
    # Leave room for every row twice. A longer file is no split of this dataset.
    largest = _LONGEST_LINE * (2 * dataset.count + 16)
    content = read_small_file(path_inside(dataset.boundary, path), largest, "a split")
    try:
        lines = content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DatasetFileError(
            f"{path}: byte {error.start} is not UTF-8; a split has one image path per line"
        ) from None
    return [line for line in map(str.strip, lines) if line]


def _audit_lines(
    dataset: AuditedDataset, file: str, lines: Sequence[str], findings: Findings
) -> Indices:
    """Return the valid rows of one file, and report the other lines by kind, with their numbers."""
    messages = {
        "split-path-leaves-folder": "a path that leaves the dataset's folder; it was not opened",
        "split-line-foreign": "not of the form images/000123.tiff",
        "split-out-of-range": f"rows outside 0..{dataset.count - 1}",
    }
    rows: list[int] = []
    bad: defaultdict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(lines, start=1):
        row = image_index(line)
        if row is not None and row < dataset.count:
            rows.append(row)
        else:
            code = "split-out-of-range" if row is not None else _foreign_code(line)
            bad[code].append(f"line {number}: {line[:80]!r}")
    for code, examples in bad.items():
        findings.error(code, dataset.name, messages[code], file=file, examples=examples)
    distinct, times = np.unique(np.array(rows, dtype=np.int64), return_counts=True)
    findings.error(
        "split-duplicate",
        dataset.name,
        "rows listed more than once",
        file=file,
        examples=distinct[times > 1],
    )
    return distinct


def _foreign_code(line: str) -> str:
    path = PurePosixPath(line.replace("\\", "/"))
    # The second character of a path with a drive of Windows (C:\...) is a colon.
    leaves = path.is_absolute() or ".." in path.parts or line[1:2] == ":"
    return "split-path-leaves-folder" if leaves else "split-line-foreign"


def _audit_cover(
    dataset: AuditedDataset,
    folder: str,
    splits: dict[str, Indices],
    severity: Severity,
    findings: Findings,
) -> None:
    """Report rows in no split, and counts in info.yaml that do not add up."""
    total = _counts(dataset, folder).total
    if total and total != dataset.count:
        field = f"{folder}_num_samples"
        findings.add(
            severity,
            "split-sum",
            dataset.name,
            f"the splits sum to {total:,}, but total_num_samples is {dataset.count:,}",
            file="info.yaml",
            field=field,
        )
    covered = np.zeros(dataset.count, dtype=bool)
    for rows in splits.values():
        covered[rows] = True
    findings.add(
        severity,
        "split-rows-unassigned",
        dataset.name,
        "rows in no split",
        file=folder,
        examples=np.flatnonzero(~covered),
    )
