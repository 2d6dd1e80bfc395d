"""Folders in the MedIMeta format, written by hand as the published writer lays them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from medimeta_adapter.format.info import DatasetInfo, SplitCounts, TaskInfo, TaskTarget, info_text

SIDE = 224
CLASSES = 10


def write_images(root: Path, name: str, count: int, channels: int) -> None:
    """`count` images of noise in ten classes, in the page cache when this returns."""
    generator = np.random.default_rng(0)
    folder = root / name
    (folder / "task_labels").mkdir(parents=True)
    shape = (count, SIDE, SIDE) if channels == 1 else (count, SIDE, SIDE, channels)
    with h5py.File(folder / "images.hdf5", "w") as file:
        stored = file.create_dataset("images", shape, np.uint8)
        for row in range(count):
            stored[row] = generator.integers(0, 256, shape[1:], dtype=np.uint8)
    np.save(folder / "task_labels" / "class.npy", generator.permutation(count) % CLASSES)
    task = TaskInfo(
        "class",
        TaskTarget.MULTICLASS_CLASSIFICATION,
        {label: f"c{label}" for label in range(CLASSES)},
    )
    write_info(folder, name, [task], (channels, SIDE, SIDE), SplitCounts(count))


def write_info(
    folder: Path,
    name: str,
    tasks: Sequence[TaskInfo],
    size: tuple[int, int, int],
    counts: SplitCounts,
) -> None:
    """A description about as long as the published ones."""
    citation = {"name": name, "license": "CC BY-SA 4.0", "citations": ["A, B and C, " * 100]}
    info = DatasetInfo(
        id=name,
        name=name,
        summary="images and labels, " * 10,
        domain=f"domain of {name}",
        tasks=tuple(tasks),
        input_size=size,
        total_num_samples=counts.total,
        splits_num_samples=counts,
        original_splits_num_samples=counts,
        license="Creative Commons Attribution-ShareAlike 4.0 International (CC BY-SA 4.0)",
        original_data=(citation, citation),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "info.yaml").write_text(info_text(info), encoding="utf-8")
