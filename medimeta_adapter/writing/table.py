"""The journal as files: labels, splits and annotations."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.format.info import SplitCounts, TaskInfo
from medimeta_adapter.format.splits import SPLITS
from medimeta_adapter.writing.draft import DatasetDraft
from medimeta_adapter.writing.journal import Journal
from torchcross.errors import WriteError

NO_SPLIT = -1
_NO_LICENCE = "No licence was stated when this dataset was written.\n"
_CODES: dict[str | None, int] = {None: NO_SPLIT, **{name: code for code, name in enumerate(SPLITS)}}


def image_path(row: int) -> str:
    """Return how the format names a row's image."""
    return f"images/{row:06d}.tiff"


@dataclass
class JournalTable:
    """The numbers of all rows, which fit in memory; texts stay in the journal, line by line."""

    draft: DatasetDraft
    labels: dict[str, NDArray[np.int64]]
    splits: NDArray[np.int8]
    original_splits: NDArray[np.int8]
    annotations: list[str] = field(default_factory=list)
    has_patients: bool = False

    @classmethod
    def from_journal(cls, journal: Journal, draft: DatasetDraft) -> JournalTable:
        rows = journal.rows
        labels = {task.name: np.zeros(_label_shape(task, rows), np.int64) for task in draft.tasks}
        no_splits = np.full(rows, NO_SPLIT, np.int8)
        table = cls(draft, labels, no_splits, no_splits.copy())
        annotations: dict[str, None] = {}
        for entry in journal.entries():
            place = slice(entry["row"], entry["row"] + entry["rows"])
            for name, values in entry["labels"].items():
                labels[name][place] = values
            table.splits[place] = [_CODES[name] for name in entry["splits"]]
            table.original_splits[place] = [_CODES[name] for name in entry["original_splits"]]
            annotations |= dict.fromkeys(entry["more"])
            table.has_patients |= any(name is not None for name in entry["patients"])
        table.annotations = list(annotations)
        return table

    def assign(self, codes: NDArray[np.int8]) -> None:
        """Fill in the splits of the rows that have none."""
        if len(codes) != len(self.splits):
            raise WriteError(
                f"assign_splits got {len(codes)} splits for {len(self.splits)} rows; give one per"
                " row"
            )
        clash = np.flatnonzero((self.splits != NO_SPLIT) & (self.splits != codes))
        if clash.size:
            row = int(clash[0])
            raise WriteError(
                f"row {row} was added to {SPLITS[self.splits[row]]!r}, and assign_splits puts it"
                f" into {SPLITS[codes[row]]!r} ({clash.size} such rows); add rows without a split,"
                " or keep theirs"
            )
        self.splits = codes

    def check(self) -> None:
        without_split = np.flatnonzero(self.splits == NO_SPLIT)
        if without_split.size:
            raise WriteError(
                f"{without_split.size} rows have no split, the first is row {without_split[0]};"
                " pass split= when adding, or call assign_splits, for instance with"
                " split_by_subject(...)"
            )

    def write_licence(self, path: Path, text: str | None) -> None:
        stated = f"{self.draft.license}\n" if self.draft.license else _NO_LICENCE
        path.write_text(text or stated, encoding="utf-8", newline="\n")

    def write_labels(self, folder: Path) -> None:
        folder.mkdir()
        for name, values in self.labels.items():
            with (folder / f"{name}.npy").open("wb") as file:
                np.save(file, values, allow_pickle=False)

    def write_annotations(self, path: Path, journal: Journal) -> None:
        """Write the published writer's columns, then further ones by name, labels as words."""
        names = sorted([*self.annotations, *self.labels])
        label_words = {task.name: _words_of(task) for task in self.draft.tasks}
        tasks = [f"tasks/{name}" for name in self.labels]
        header = ["filepath", "split", *tasks, "original_filepath", "original_split"]
        if self.has_patients:
            header.append("patient_id")
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*header, *names])
            for entry in journal.entries():
                words = {
                    name: list(map(label_words[name], values))
                    for name, values in entry["labels"].items()
                }
                columns = entry["more"] | words
                writer.writerows(self._lines(entry, [columns.get(name) for name in names]))

    def _lines(self, entry: dict[str, Any], columns: list[Any]) -> Iterator[list[Any]]:
        """Yield the lines of one batch; a column is None where the batch has no value for it."""
        values: list[Any] = [*entry["labels"].values(), entry["files"], entry["original_splits"]]
        if self.has_patients:
            values.append(entry["patients"])
        for place in range(entry["rows"]):
            row = entry["row"] + place
            line: list[Any] = [image_path(row), SPLITS[self.splits[row]]]
            line += [None if column is None else column[place] for column in values + columns]
            yield line


def write_splits(folder: Path, codes: NDArray[np.int8]) -> None:
    """Write one file of image paths per split that has any."""
    folder.mkdir()
    for code, name in enumerate(SPLITS):
        rows = np.flatnonzero(codes == code).tolist()
        if rows:
            with (folder / f"{name}.txt").open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(f"{image_path(row)}\n" for row in rows)


def split_counts(codes: NDArray[np.int8]) -> SplitCounts:
    return SplitCounts(**{name: int((codes == code).sum()) for code, name in enumerate(SPLITS)})


def _label_shape(task: TaskInfo, rows: int) -> tuple[int, ...]:
    return (rows, task.num_labels) if task.multilabel else (rows,)


def _words_of(task: TaskInfo) -> Callable[[Any], str]:
    """Return a function from a label to its name, or to the names of all labels that are 1."""
    labels = dict(task.labels)
    if not task.multilabel:
        unknown = {} if task.missing_label is None else {task.missing_label: ""}
        return (unknown | labels).__getitem__
    names = list(labels.values())
    return lambda answers: "|".join(
        name for name, answer in zip(names, answers, strict=True) if answer == 1
    )
