"""Images of a dataset whose label is unknown: named with their tasks, counted, and as a table."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.rows import Rows
from medimeta_adapter.format.info import TaskInfo
from torchcross._kit.spreadsheet_cells import cell_of_text

UNLABELLED_FILE = "unlabelled.csv"


@dataclass(frozen=True)
class Unlabelled:
    """An image whose label of a task is unknown.

    `labels` are the unknown answers of a multi-label task; it is empty for the other tasks.
    """

    name: str
    task: str
    labels: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} ({', '.join([self.task, *self.labels])})"


def unlabelled_images(rows: Rows) -> tuple[Unlabelled, ...]:
    """What is unknown of the rows that are written, in their order."""
    entries = []
    for task in rows.tasks:
        unknown = unknown_answers(task, rows.labels[task.name])
        names = np.array(list(task.labels.values()), dtype=object)
        for place in np.flatnonzero(unknown.any(axis=1)).tolist():
            labels = names[unknown[place]].tolist() if task.multilabel else []
            entries.append((place, Unlabelled(rows.names[place], task.name, tuple(labels))))
    return tuple(entry for _, entry in sorted(entries, key=lambda pair: pair[0]))


def unknown_answers(task: TaskInfo, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N, 1), or (N, L) for a multi-label task: which labels are unknown."""
    columns = labels.reshape(len(labels), -1)
    if task.missing_label is None:
        return np.zeros(columns.shape, dtype=bool)
    unknown: NDArray[np.bool_] = columns == task.missing_label
    return unknown


def unlabelled_counts(entries: Iterable[Unlabelled]) -> dict[str, int]:
    """The number of images with an unknown label by task."""
    return dict(Counter(entry.task for entry in entries))


def unlabelled_table(entries: Sequence[Unlabelled]) -> str:
    """The text of unlabelled.csv."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["name", "task", "labels"])
    for entry in entries:
        texts = (entry.name, entry.task, "|".join(entry.labels))
        writer.writerow([cell_of_text(text) for text in texts])
    return file.getvalue().encode("utf-8", "backslashreplace").decode()
