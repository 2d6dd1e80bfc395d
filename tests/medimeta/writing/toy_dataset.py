"""A small dataset to be written: everything about a row follows from its number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medimeta_adapter.format.info import TaskInfo
from medimeta_adapter.format.problems import TaskTarget
from medimeta_adapter.writing.draft import DatasetDraft
from medimeta_adapter.writing.writer import DatasetWriter

TASKS = [
    TaskInfo(
        "kind of thing",
        TaskTarget.MULTICLASS_CLASSIFICATION,
        {0: "disc", 1: "star: big", 2: "square"},
    ),
    TaskInfo("malignant", TaskTarget.BINARY_CLASSIFICATION, {0: "no", 1: "yes"}),
    TaskInfo("findings", TaskTarget.MULTILABEL_CLASSIFICATION, {0: "dot", 1: "line", 2: "ring"}),
    TaskInfo("Clarity", TaskTarget.ORDINAL_REGRESSION, {1: "poor", 4: "fair", 10: "good"}),
]
SIDES = (8, 9)


def draft(channels: int = 1, **changes: Any) -> DatasetDraft:
    known: dict[str, Any] = {"name": "Toy", "domain": "Toys", "tasks": TASKS, "license": "CC0 1.0"}
    return DatasetDraft(**{"id": "toy", "input_size": (channels, *SIDES), **known, **changes})


def image(row: int, channels: int = 1) -> np.ndarray[Any, Any]:
    shape = SIDES if channels == 1 else (*SIDES, channels)
    return np.random.RandomState(row).randint(0, 256, shape).astype(np.uint8)


def labels(row: int) -> dict[str, Any]:
    findings = [row % 2, 0, int(row % 5 == 0)]
    return {
        "kind of thing": row % 3,
        "malignant": row % 2,
        "findings": findings,
        "Clarity": (1, 4, 10)[row % 3],
    }


def further_columns(row: int) -> dict[str, Any]:
    """Everything else about a row."""
    return {
        "split": "train" if row % 4 else "test",
        "original_split": "train" if row % 2 else None,
        "original_filepath": f'folder, "a"/{row}.png',
        "patient_id": f"p{row // 2}",
        "annotations": {"age": row + 0.5, "note": None if row % 3 else f"line\n{row}"},
    }


def fill(writer: DatasetWriter, rows: int, channels: int = 1) -> None:
    for row in range(writer.count, rows):
        assert writer.add(image(row, channels), labels(row), **further_columns(row)) == row


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
