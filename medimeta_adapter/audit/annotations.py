"""Checks annotations.csv against splits and labels, and reads who the subjects are."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.audit.audited_dataset import AuditedDataset
from medimeta_adapter.audit.findings import Findings
from medimeta_adapter.format.annotations import known_subject, read_annotations, subjects_of
from medimeta_adapter.format.files import path_inside
from medimeta_adapter.format.splits import SPLITS
from torchcross.errors import DatasetFileError

SUBJECTS = "patient_id"
_FILE = "annotations.csv"
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def audit_annotations(dataset: AuditedDataset, findings: Findings) -> None:
    """Check annotations.csv, and fill `dataset.subjects` if it has a column of them."""
    path = dataset.folder / _FILE
    if not os.path.lexists(path):
        findings.note(
            "annotations-missing",
            dataset.name,
            "no such file; the origin and the subjects of the images are unknown",
            file=_FILE,
        )
        return
    try:
        columns = read_annotations(path_inside(dataset.boundary, path), dataset.count)
    except DatasetFileError as error:
        findings.error("annotations-unreadable", dataset.name, str(error), file=_FILE)
        return
    if "split" in columns and dataset.splits:
        _audit_split_column(dataset, columns["split"], findings)
    for task, labels in dataset.labels.items():
        if f"tasks/{task}" in columns:
            _audit_task_column(dataset, task, labels, columns[f"tasks/{task}"], findings)
    if SUBJECTS in columns:
        _audit_subject_column(dataset, columns[SUBJECTS], findings)


def _audit_split_column(dataset: AuditedDataset, column: NDArray[Any], findings: Findings) -> None:
    # Code -1, no split, picks the last name.
    by_file = np.array([*SPLITS, ""], dtype=object)[dataset.split_codes()]
    by_column = np.array([text.strip().lower() for text in column.tolist()], dtype=object)
    by_column[~np.isin(by_column, list(SPLITS))] = ""
    findings.error(
        "annotations-split",
        dataset.name,
        "rows for which this column and the split files name different splits",
        file=_FILE,
        field="split",
        examples=[
            f"row {row}: {by_column[row] or 'none'}, in {by_file[row] or 'none'}"
            for row in np.flatnonzero(by_file != by_column).tolist()
        ],
    )


def _audit_task_column(
    dataset: AuditedDataset,
    task: str,
    labels: NDArray[Any],
    column: NDArray[Any],
    findings: Findings,
) -> None:
    """Compare a column with the labels if each cell has one number per label.

    The columns of some datasets hold words instead.
    """
    width = labels.shape[1] if labels.ndim == 2 else 1
    numbers = [_NUMBER.findall(text) for text in column.tolist()]
    if any(len(cell) != width for cell in numbers):
        return
    values = np.array(numbers, dtype=object).astype(np.float64).reshape(labels.shape)
    findings.error(
        "annotations-labels",
        dataset.name,
        "rows for which this column and task_labels hold different labels",
        file=_FILE,
        field=f"tasks/{task}",
        examples=np.flatnonzero((values != labels).reshape(len(labels), -1).any(axis=1)),
    )


def _audit_subject_column(
    dataset: AuditedDataset, column: NDArray[Any], findings: Findings
) -> None:
    names = np.array(list(map(known_subject, column.tolist())), dtype=object)
    dataset.subjects = subjects_of(column)
    dataset.named_subjects = np.unique(names[names != ""])
    findings.warning(
        "subject-unknown",
        dataset.name,
        "images without a subject; each counts as a subject of its own",
        file=_FILE,
        field=SUBJECTS,
        examples=np.flatnonzero(names == ""),
    )
