"""Tiny datasets in the MedIMeta format, in every layout, without the adapter's writer."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from PIL import Image

Array = np.ndarray
LAYOUTS = {1: ("NHW", "NHWC", "N1HW"), 3: ("NHWC", "NCHW")}
SPLITS = ("train", "val", "test")
BINARY = {
    "task_name": "malignancy",
    "task_target": "BINARY_CLASSIFICATION",
    "labels": {0: "benign", 1: "malignant"},
}
MULTI = {
    "task_name": "disease class",
    "task_target": "MULTICLASS_CLASSIFICATION",
    "labels": {0: "CNV", 1: "DME", 2: "drusen"},
}
ORDINAL = {
    "task_name": "Field definition",
    "task_target": "ORDINAL_REGRESSION",
    "labels": {1: "poor", 4: "fair", 10: "good"},
}
LABELS = {
    "task_name": "disease labels",
    "task_target": "MULTILABEL_CLASSIFICATION",
    "labels": {0: "cyst", 1: "edema", 2: "mass: other"},
}


def pixels(count: int, channels: int, height: int = 6, width: int = 5, seed: int = 0) -> Array:
    """(N, H, W) or (N, H, W, 3), no two images alike."""
    shape = (count, height, width) if channels == 1 else (count, height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def labels_of(task: Mapping[str, Any], count: int) -> Array:
    """Every label occurs, in turn."""
    keys = list(task["labels"])
    if task["task_target"] == "MULTILABEL_CLASSIFICATION":
        return np.array(
            [[(row >> column) & 1 for column in range(len(keys))] for row in range(count)],
            dtype=np.int64,
        )
    return np.array([keys[row % len(keys)] for row in range(count)], dtype=np.int64)


def as_stored(images: Array, layout: str) -> Array:
    return {
        "NHW": lambda: images,
        "NHWC": lambda: images if images.ndim == 4 else images[..., None],
        "NCHW": lambda: images.transpose(0, 3, 1, 2),
        "N1HW": lambda: images[:, None],
    }[layout]()


def write_hdf5(path: Path, stored: Array, **options: Any) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("images", data=np.ascontiguousarray(stored), **options)


def write_split(folder: Path, name: str, rows: Sequence[int]) -> None:
    """As the published writer does: no last newline, and no file for an empty split."""
    folder.mkdir(exist_ok=True)
    if len(rows):
        (folder / f"{name}.txt").write_text("\n".join(f"images/{row:06d}.tiff" for row in rows))


def default_splits(count: int) -> dict[str, list[int]]:
    """Three quarters, the last but one, the last."""
    return {"train": list(range(count - 2)), "val": [count - 2], "test": [count - 1]}


def write_dataset(
    root: Path,
    name: str = "toy",
    *,
    folder: str | None = None,
    count: int = 12,
    channels: int = 1,
    layout: str | None = None,
    images: Array | None = None,
    tasks: Sequence[Mapping[str, Any]] = (MULTI, BINARY),
    splits: Mapping[str, Sequence[int]] | None = None,
    original_splits: Mapping[str, Sequence[int]] | None = None,
    patients: Sequence[object] | None = None,
    hdf5: bool = True,
    tiffs: bool = False,
    hdf5_options: Mapping[str, Any] | None = None,
    **info: Any,
) -> Path:
    """A whole dataset folder, consistent unless `info` overrides a field of info.yaml."""
    place = root / (folder or name)
    place.mkdir(parents=True)
    images = pixels(count, channels) if images is None else images
    splits = default_splits(count) if splits is None else splits
    original = {"train": list(range(count))} if original_splits is None else original_splits
    if hdf5:
        layout = layout or LAYOUTS[channels][0]
        write_hdf5(place / "images.hdf5", as_stored(images, layout), **(hdf5_options or {}))
    if tiffs:
        (place / "images").mkdir()
        for row, image in enumerate(images):
            Image.fromarray(image).save(place / "images" / f"{row:06d}.tiff", compression=None)
    for kind, given in (("splits", splits), ("original_splits", original)):
        for split in SPLITS:
            write_split(place / kind, split, given.get(split, ()))
    (place / "task_labels").mkdir()
    for task in tasks:
        np.save(place / "task_labels" / f"{task['task_name']}.npy", labels_of(task, count))
    if patients is not None:
        write_annotations(place, {"patient_id": patients})
    document = {
        "id": name,
        "name": f"The {name} images",
        "summary": "made by a test",
        "domain": f"domain of {name}",
        "tasks": [dict(task) for task in tasks],
        "input_size": [channels, *images.shape[1:3]],
        "total_num_samples": count,
        "splits_num_samples": {split: len(splits.get(split, ())) for split in SPLITS},
        "original_splits_num_samples": {split: len(original.get(split, ())) for split in SPLITS},
        "domain_overlaps": [],
        "subject_overlaps": [],
        "license": "CC0",
        "DOI": "10.0/none",
        "original_data": [{"name": "none", "citations": ["nobody"]}],
    }
    write_info(place, document | info)
    return place


def write_info(folder: Path, document: Mapping[str, Any]) -> None:
    text = yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True)
    (folder / "info.yaml").write_text(text, encoding="utf-8")


def edit_info(folder: Path, **changes: Any) -> None:
    """Change fields; None removes one."""
    document = yaml.safe_load((folder / "info.yaml").read_text(encoding="utf-8")) | changes
    write_info(folder, {key: value for key, value in document.items() if value is not None})


def write_annotations(folder: Path, columns: Mapping[str, Sequence[object]]) -> None:
    count = len(next(iter(columns.values())))
    with (folder / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["filepath", *columns])
        for row in range(count):
            writer.writerow(
                [f"images/{row:06d}.tiff", *(values[row] for values in columns.values())]
            )
