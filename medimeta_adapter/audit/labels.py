"""Checks label files: whether they can be read, hold known classes, and can teach anything."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.audit.audited_dataset import AuditedDataset
from medimeta_adapter.audit.findings import Findings
from medimeta_adapter.format.files import path_inside
from medimeta_adapter.format.info import TaskInfo
from medimeta_adapter.format.labels import read_labels
from torchcross.errors import DatasetFileError, InputError

_FOLDER = "task_labels"


def audit_labels(dataset: AuditedDataset, findings: Findings) -> None:
    """Check the labels, and fill `dataset.labels` with the tasks that are valid."""
    folder = dataset.folder / _FOLDER
    names = {f"{task.name}.npy": task for task in dataset.info.tasks}
    for name, task in names.items():
        file = f"{_FOLDER}/{name}"
        try:
            path = path_inside(dataset.boundary, folder / name)
            labels = read_labels(path, task, dataset.count)
            task.target().encode(labels, file)
        except (DatasetFileError, InputError) as error:
            findings.error(
                "labels-unreadable", dataset.name, str(error), file=file, field=task.name
            )
            continue
        dataset.labels[task.name] = labels
        _audit_task(dataset, task, labels, findings)
    if folder.is_dir():
        findings.note(
            "labels-stray",
            dataset.name,
            "files that belong to no task of info.yaml",
            file=_FOLDER,
            examples=sorted({entry.name for entry in folder.iterdir()} - set(names)),
        )


def class_counts(task: TaskInfo, labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return the samples of each class; for a multilabel task, the samples that have each label."""
    if labels.ndim == 2:
        counts: NDArray[np.int64] = (labels == 1).sum(axis=0)
        return counts
    return np.array([(labels == value).sum() for value in task.labels], dtype=np.int64)


def _audit_task(
    dataset: AuditedDataset, task: TaskInfo, labels: NDArray[Any], findings: Findings
) -> None:
    where = {"file": f"{_FOLDER}/{task.name}.npy", "field": task.name}
    names = np.array(list(task.labels.values()), dtype=object)
    counts = class_counts(task, labels)
    if task.missing_label is not None:
        findings.note(
            "labels-unknown",
            dataset.name,
            "images with an unknown label, which is never drawn as a class and counts in no score",
            examples=np.flatnonzero(_has_unknown(task, labels)),
            **where,
        )
    findings.warning(
        "class-empty",
        dataset.name,
        "classes without a single sample",
        examples=names[counts == 0],
        **where,
    )
    if labels.ndim == 2:
        unknown = (labels == task.missing_label).sum(axis=0)
        always = names[(counts > 0) & (counts + unknown == len(labels))]
        findings.warning(
            "label-always", dataset.name, "labels that every sample has", examples=always, **where
        )
        _audit_label_pairs(dataset, names, labels == 1, where, findings)
    elif (counts > 0).sum() == 1:
        findings.warning(
            "task-constant",
            dataset.name,
            f"every known label is {names[np.argmax(counts)]!r}; nothing can be learned",
            **where,
        )


def _has_unknown(task: TaskInfo, labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each image has an unknown label, or an unknown answer for a label."""
    unknown: NDArray[np.bool_] = (labels == task.missing_label).reshape(len(labels), -1).any(axis=1)
    return unknown


def _audit_label_pairs(
    dataset: AuditedDataset,
    names: NDArray[Any],
    has: NDArray[np.bool_],
    where: dict[str, str],
    findings: Findings,
) -> None:
    """Report labels that always agree, and labels that never occur without another one."""
    together = has.T.astype(np.float64) @ has
    own = np.diag(together)
    equal, implied = [], []
    # One label implies another if every sample that has it has the other, too.
    implies = (together == own[:, None]) & (own[:, None] > 0)
    for one, other in zip(*np.nonzero(implies), strict=True):
        if one == other or own[other] == len(has):
            continue
        if own[one] != own[other]:
            implied.append(f"{names[one]} -> {names[other]}")
        elif one < other:
            equal.append(f"{names[one]} = {names[other]}")
    findings.warning(
        "label-columns-equal",
        dataset.name,
        "pairs of labels with the same answer for every sample",
        examples=equal,
        **where,
    )
    findings.note(
        "label-implied",
        dataset.name,
        "labels that occur only together with another label; one may be a copy of the other",
        examples=implied,
        **where,
    )
