"""The journal as files: labels, splits and annotations."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.format.info import SplitCounts, TaskInfo
from medimeta_adapter.writing.draft import SPLITS, DatasetDraft
from medimeta_adapter.writing.journal import Journal
from torchcross.errors import WriteError

__all__ = ["NO_SPLIT", "Table", "filepath"]

NO_SPLIT = -1
_NO_LICENCE = "No licence was stated when this dataset was written.\n"
_CODES: dict[str | None, int] = {None: NO_SPLIT, **{name: code for code, name in enumerate(SPLITS)}}


def filepath(row: int) -> str:
    """How the format names a row's image."""
    return f"images/{row:06d}.tiff"


@dataclass
class Table:
    """What fits in memory of all rows: numbers. Texts stay in the journal and go through line by
    line.
    """

    draft: DatasetDraft
    labels: dict[str, NDArray[np.int64]]
    splits: NDArray[np.int8]
    original_splits: NDArray[np.int8]
    annotations: list[str] = field(default_factory=list)
    has_patients: bool = False

    @classmethod
    def of(cls, journal: Journal, draft: DatasetDraft) -> Table:
        rows = journal.rows
        labels = {task.name: np.zeros(_shape(task, rows), np.int64) for task in draft.tasks}
        nowhere = np.full(rows, NO_SPLIT, np.int8)
        table = cls(draft, labels, nowhere, nowhere.copy())
        names: dict[str, None] = {}
        for entry in journal.entries():
            place = slice(entry["row"], entry["row"] + entry["rows"])
            for name, values in entry["labels"].items():
                labels[name][place] = values
            table.splits[place] = [_CODES[name] for name in entry["splits"]]
            table.original_splits[place] = [_CODES[name] for name in entry["original_splits"]]
            names |= dict.fromkeys(entry["more"])
            table.has_patients = table.has_patients or any(
                name is not None for name in entry["patients"]
            )
        table.annotations = list(names)
        return table

    def assign(self, codes: NDArray[np.int8]) -> None:
        """Fill in the splits of the rows that have none."""
        if len(codes) != len(self.splits):
            raise WriteError(
                f"assign_splits was given {len(codes)} splits for {len(self.splits)} rows; give all"
                " rows"
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

    def counts(self, codes: NDArray[np.int8]) -> SplitCounts:
        return SplitCounts(**{name: int((codes == code).sum()) for code, name in enumerate(SPLITS)})

    def check(self) -> None:
        if open_rows := int((self.splits == NO_SPLIT).sum()):
            first = int(np.argmax(self.splits == NO_SPLIT))
            raise WriteError(
                f"{open_rows} rows have no split, the first is row {first}; pass split= when"
                " adding, or call assign_splits, for instance with split_by_subject(...)"
            )

    def write_licence(self, path: Path, text: str | None) -> None:
        stated = f"{self.draft.license}\n" if self.draft.license else _NO_LICENCE
        path.write_text(text or stated, encoding="utf-8")

    def write_labels(self, folder: Path) -> None:
        folder.mkdir()
        for name, values in self.labels.items():
            with (folder / f"{name}.npy").open("wb") as file:
                np.save(file, values, allow_pickle=False)

    def write_splits(self, folder: Path, codes: NDArray[np.int8]) -> None:
        """One file of image paths per split that has any."""
        folder.mkdir()
        for code, name in enumerate(SPLITS):
            rows = np.flatnonzero(codes == code).tolist()
            if rows:
                with (folder / f"{name}.txt").open("w", encoding="utf-8", newline="\n") as file:
                    file.writelines(f"{filepath(row)}\n" for row in rows)

    def write_annotations(self, path: Path, journal: Journal) -> None:
        """The published writer's columns: labels as values, where they come from, the rest by name,
        labels as words.
        """
        names = sorted([*self.annotations, *self.labels])
        words = {task.name: _in_words(task) for task in self.draft.tasks}
        head = [
            "filepath",
            "split",
            *(f"tasks/{name}" for name in self.labels),
            "original_filepath",
            "original_split",
        ]
        head += ["patient_id"] if self.has_patients else []
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*head, *names])
            for entry in journal.entries():
                writer.writerows(self._lines(entry, names, words))

    def _lines(
        self,
        entry: dict[str, Any],
        names: Sequence[str],
        in_words: Mapping[str, Callable[[Any], str]],
    ) -> Iterator[list[Any]]:
        first = entry["row"]
        words = {
            name: list(map(in_words[name], values)) for name, values in entry["labels"].items()
        }
        for n in range(entry["rows"]):
            row = first + n
            line = [
                filepath(row),
                SPLITS[self.splits[row]],
                *(values[n] for values in entry["labels"].values()),
            ]
            line += [entry["files"][n], entry["original_splits"][n]]
            line += [entry["patients"][n]] if self.has_patients else []
            for name in names:
                values = words.get(name) or entry["more"].get(name)
                line.append(None if values is None else values[n])
            yield line


def _shape(task: TaskInfo, rows: int) -> tuple[int, ...]:
    return (rows, *task.target().label_shape)


def _in_words(task: TaskInfo) -> Callable[[Any], str]:
    """Label value -> its name, or the names of all labels that are 1."""
    labels = dict(task.labels)
    if not task.multilabel:
        return labels.__getitem__
    names = list(labels.values())
    return lambda answers: "|".join(
        name for name, answer in zip(names, answers, strict=True) if answer
    )
