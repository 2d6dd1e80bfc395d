"""Folders in the MedIMeta format for the tests of the audit: written by hand, file by file, and
then spoilt.
"""

import csv
from pathlib import Path

import h5py
import numpy as np
import yaml
from PIL import Image

from medimeta_adapter.audit import check

SPLITS = ("train", "val", "test")
TARGETS = (
    "BINARY_CLASSIFICATION",
    "MULTICLASS_CLASSIFICATION",
    "MULTILABEL_CLASSIFICATION",
    "ORDINAL_REGRESSION",
)


class Folder:
    """One dataset, clean: `count` images that differ from each other, four tasks, subjects of three
    images each.
    """

    def __init__(
        self,
        root,
        name="eyes",
        *,
        count=90,
        size=16,
        channels=1,
        seed=0,
        domain="Fundus",
        subjects=True,
    ):
        self.path, self.count, self.name = Path(root) / name, count, name
        draw = np.random.default_rng((seed, *name.encode()))
        shape = (count, size, size) if channels == 1 else (count, size, size, channels)
        self.images = draw.integers(0, 256, shape, dtype=np.uint8)
        rows = np.arange(count)
        self.labels = {
            "sick": rows // 3 % 2,
            "what it is": rows // 3 % 3,
            "signs": (
                np.stack(
                    [rows // 3 % 2 == 0, rows // 6 % 2 == 0, rows // 9 % 2 == 0], axis=1
                ).astype(np.int64)
            ),
            "grade": np.array([1, 4, 8])[rows // 9 % 3],
        }
        self.patients = [f"{name}-person-{row // 3:04d}" for row in rows] if subjects else None
        ends = [0, count * 2 // 3 // 3 * 3, count * 5 // 6 // 3 * 3, count]
        self.splits = {
            split: rows[ends[at] : ends[at + 1]].tolist() for at, split in enumerate(SPLITS)
        }
        names = [
            {0: "no", 1: "yes"},
            {0: "drusen", 1: "CNV: wet", 2: "none"},
            {0: "a", 1: "b", 2: "c"},
        ]
        names.append({1: "mild", 4: "some", 8: "much"})
        self.info = {
            "id": name,
            "name": f"The {name} dataset",
            "summary": "",
            "domain": domain,
            "tasks": [
                {"task_name": task, "task_target": target, "labels": labels}
                for task, target, labels in zip(self.labels, TARGETS, names, strict=True)
            ],
            "input_size": [channels, size, size],
            "total_num_samples": count,
            "splits_num_samples": {split: len(listed) for split, listed in self.splits.items()},
            "original_splits_num_samples": {"train": 0, "val": 0, "test": 0},
            "domain_overlaps": [],
            "subject_overlaps": [],
            "license": "CC BY 4.0",
            "DOI": "",
            "original_data": [],
        }

    def write(self, *, tiffs=False, chunks=None, annotations=True):
        """All files."""
        for folder in ("task_labels", "splits"):
            (self.path / folder).mkdir(parents=True, exist_ok=True)
        (self.path / "info.yaml").write_text(
            yaml.safe_dump(self.info, sort_keys=False), encoding="utf-8"
        )
        with h5py.File(self.path / "images.hdf5", "w") as file:
            file.create_dataset("images", data=self.images, chunks=chunks)
        for task, values in self.labels.items():
            np.save(self.path / "task_labels" / f"{task}.npy", values)
        for split, rows in self.splits.items():
            text = "".join(f"images/{row:06d}.tiff\n" for row in rows)
            (self.path / "splits" / f"{split}.txt").write_text(text)
        if annotations:
            self.write_annotations()
        if tiffs:
            (self.path / "images").mkdir()
            for row, image in enumerate(self.images):
                Image.fromarray(image).save(self.path / "images" / f"{row:06d}.tiff")
        return self

    def write_annotations(self):
        split_of = {row: split for split, rows in self.splits.items() for row in rows}
        columns = {
            "filepath": [f"images/{row:06d}.tiff" for row in range(self.count)],
            "split": [split_of.get(row, "") for row in range(self.count)],
            **{f"tasks/{task}": list(map(str, values)) for task, values in self.labels.items()},
            **({} if self.patients is None else {"patient_id": self.patients}),
        }
        with (self.path / "annotations.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))


def kinds(report):
    """The codes of all findings, sorted."""
    return sorted(finding.code for finding in report.findings)


def only_finding(report, code):
    """The only finding of a kind."""
    (finding,) = [finding for finding in report.findings if finding.code == code]
    return finding


def audit(tmp_path, **options):
    """The files alone: what these tests are about."""
    return check(tmp_path, **({"pixels": False} | options))


def codes(findings):
    return sorted(finding.code for finding in findings)
