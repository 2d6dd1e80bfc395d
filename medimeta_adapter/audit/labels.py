"""Label files: readable, within the classes, and worth learning from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.audit.audited_dataset import Opened
from medimeta_adapter.audit.findings import Findings
from medimeta_adapter.format.files import path_inside
from medimeta_adapter.format.info import TaskInfo
from medimeta_adapter.format.labels import read_labels
from torchcross.errors import DatasetFileError, InputError

__all__ = ["audit_labels", "class_counts"]


def audit_labels(opened: Opened, findings: Findings) -> None:
    """Fills `opened.labels` with the tasks that are sound."""
    folder = opened.folder / "task_labels"
    for task in opened.info.tasks:
        place = f"task_labels/{task.name}.npy"
        try:
            labels = read_labels(
                path_inside(opened.boundary, folder / f"{task.name}.npy"), task, opened.count
            )
            task.target().encode(labels, place)
        except (DatasetFileError, InputError) as error:
            findings.error(
                "labels-unreadable", opened.name, str(error), file=place, field=task.name
            )
            continue
        opened.labels[task.name] = labels
        _audit_task(opened, task, labels, findings)
    _audit_strays(opened, findings)


def class_counts(task: TaskInfo, labels: NDArray[Any]) -> NDArray[np.int64]:
    """Samples per class; per label: samples that have it."""
    if labels.ndim == 2:
        counts: NDArray[np.int64] = (labels == 1).sum(axis=0)
        return counts
    return np.array([(labels == value).sum() for value in task.labels], dtype=np.int64)


def _audit_task(opened: Opened, task: TaskInfo, labels: NDArray[Any], findings: Findings) -> None:
    where = {"file": f"task_labels/{task.name}.npy", "field": task.name}
    names = np.array(list(task.labels.values()), dtype=object)
    counts = class_counts(task, labels)
    if (empty := names[counts == 0]).size:
        message = "classes without a single sample"
        findings.warning(
            "class-empty", opened.name, message, count=len(empty), examples=empty, **where
        )
    if labels.ndim == 2:
        if (always := names[counts == len(labels)]).size:
            message = "labels that every sample has"
            findings.warning(
                "label-always", opened.name, message, count=len(always), examples=always, **where
            )
        _audit_columns(opened, names, labels == 1, where, findings)
    elif (counts > 0).sum() == 1:
        only = names[np.argmax(counts)]
        findings.warning(
            "task-constant",
            opened.name,
            f"every sample is {only!r}; nothing can be learned",
            **where,
        )


def _audit_columns(
    opened: Opened,
    names: NDArray[Any],
    has: NDArray[np.bool_],
    where: dict[str, str],
    findings: Findings,
) -> None:
    """Labels that say the same, and labels that never stand without another."""
    together = has.T.astype(np.float64) @ has
    own = np.diag(together)
    equal, implied = [], []
    for one, other in zip(
        *np.nonzero((together == own[:, None]) & (own[:, None] > 0)), strict=True
    ):
        if one != other and own[other] < len(has):
            if own[one] == own[other]:
                equal += [f"{names[one]} = {names[other]}"] if one < other else []
            else:
                implied.append(f"{names[one]} -> {names[other]}")
    if equal:
        message = "pairs of labels with the same answer for every sample"
        findings.warning(
            "label-columns-equal", opened.name, message, count=len(equal), examples=equal, **where
        )
    if implied:
        message = "labels that stand only where another stands too; one may be a copy of the other"
        findings.note(
            "label-implied", opened.name, message, count=len(implied), examples=implied, **where
        )


def _audit_strays(opened: Opened, findings: Findings) -> None:
    folder = opened.folder / "task_labels"
    if not folder.is_dir():
        return
    known = {f"{task.name}.npy" for task in opened.info.tasks}
    strays = sorted(entry.name for entry in folder.iterdir() if entry.name not in known)
    if strays:
        message = "files that belong to no task of info.yaml"
        findings.note(
            "labels-stray",
            opened.name,
            message,
            file="task_labels",
            count=len(strays),
            examples=strays,
        )
