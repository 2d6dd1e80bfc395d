"""annotations.csv against the splits and the labels; who the subjects are."""

from __future__ import annotations

import os
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.audit.audited_dataset import SPLITS, Opened
from medimeta_adapter.audit.findings import Findings
from medimeta_adapter.format.annotations import read_annotations, subjects_of
from medimeta_adapter.format.files import path_inside
from torchcross.errors import DatasetFileError

__all__ = ["SUBJECTS", "audit_annotations"]

SUBJECTS = "patient_id"
_FILE = "annotations.csv"
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def audit_annotations(opened: Opened, findings: Findings) -> None:
    """Fills `opened.subjects` where there is a column of them."""
    path = opened.folder / _FILE
    if not os.path.lexists(path):
        message = "no such file: where the images come from, and who they are of, is not known"
        findings.note("annotations-missing", opened.name, message, file=_FILE)
        return
    try:
        columns = read_annotations(path_inside(opened.boundary, path), opened.count)
    except DatasetFileError as error:
        findings.error("annotations-unreadable", opened.name, str(error), file=_FILE)
        return
    _audit_split_column(opened, columns.get("split"), findings)
    for name, labels in opened.labels.items():
        _audit_task_column(opened, name, labels, columns.get(f"tasks/{name}"), findings)
    if SUBJECTS in columns:
        opened.subjects = subjects_of(columns[SUBJECTS])
        _audit_unknown(opened, columns[SUBJECTS], findings)


def _audit_split_column(opened: Opened, column: NDArray[Any] | None, findings: Findings) -> None:
    if column is None or not opened.splits:
        return
    names = np.array([*SPLITS, ""], dtype=object)[opened.split_codes()]
    told = np.array([text.strip().lower() for text in column.tolist()], dtype=object)
    told[~np.isin(told, list(SPLITS))] = ""
    differ = np.flatnonzero(names != told)
    if len(differ):
        message = "rows whose column says another split than the split files"
        shown = [
            f"row {row}: {told[row] or 'none'}, in {names[row] or 'none'}"
            for row in differ[:5].tolist()
        ]
        findings.error(
            "annotations-split",
            opened.name,
            message,
            file=_FILE,
            field="split",
            count=len(differ),
            examples=shown,
        )


def _audit_task_column(
    opened: Opened, name: str, labels: NDArray[Any], column: NDArray[Any] | None, findings: Findings
) -> None:
    """Only where the column holds as many numbers as there are labels; some datasets keep words
    there.
    """
    if column is None:
        return
    width = labels.shape[1] if labels.ndim == 2 else 1
    numbers = [_NUMBER.findall(text) for text in column.tolist()]
    if not all(len(found) == width for found in numbers):
        return
    told = np.array(numbers, dtype=object).astype(np.float64).reshape(labels.shape)
    differ = np.flatnonzero((told != labels).reshape(len(labels), -1).any(axis=1))
    if len(differ):
        message = "rows whose column says another label than task_labels"
        findings.error(
            "annotations-labels",
            opened.name,
            message,
            file=_FILE,
            field=f"tasks/{name}",
            count=len(differ),
            examples=differ,
        )


def _audit_unknown(opened: Opened, column: NDArray[Any], findings: Findings) -> None:
    known = np.array([text.strip() for text in column.tolist()], dtype=object)
    unknown = np.flatnonzero(np.asarray(opened.subjects) != known)
    if len(unknown):
        message = "images without a subject; each counts as a subject of its own"
        findings.warning(
            "subject-unknown",
            opened.name,
            message,
            file=_FILE,
            field=SUBJECTS,
            count=len(unknown),
            examples=unknown,
        )
