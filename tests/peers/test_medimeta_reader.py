"""Folders laid out as the published writer does are read alike here and by the published reader, to
the last bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.peers.child import Arrays
from medimeta_adapter import DatasetInfo, MedIMeta, SplitCounts, TaskInfo, info_text
from tests.medimeta.make import BINARY, LABELS, MULTI, ORDINAL, edit_info, write_dataset

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("medimeta_reader.py")
SPLITS = {"train": [8, 0, 3, 5], "val": [1, 2], "test": [11]}
ORIGINAL = {"train": [0, 1, 2, 3, 4, 5, 6, 7, 8], "test": [9, 10, 11]}
TASKS = [MULTI, BINARY, ORDINAL, LABELS]
CASES = [
    (dataset, task["task_name"], split, original, hdf5)
    for dataset in ("grey", "colour")
    for task in TASKS
    for split, original, hdf5 in (
        (None, None, True),
        ("train", None, True),
        (["val", "train"], None, False),
        (None, ["test", "train"], True),
    )
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("published")
    for name, channels in (("grey", 1), ("colour", 3)):
        write_dataset(
            root,
            name,
            channels=channels,
            tasks=TASKS,
            splits=SPLITS,
            original_splits=ORIGINAL,
            tiffs=True,
        )
    return root


@pytest.fixture(scope="module")
def published(root: Path, in_peers: Callable[..., Arrays]) -> Arrays:
    return in_peers(SCRIPT, root, json.dumps(CASES))


@pytest.mark.parametrize(
    "number", range(len(CASES)), ids=lambda number: "-".join(map(str, CASES[number]))
)
def test_the_same_images_and_labels(root: Path, published: Arrays, number: int) -> None:
    dataset, task, split, original, _ = CASES[number]
    meta = MedIMeta(root)
    source = meta.source(
        dataset, task, split=original or split, original_splits=original is not None, pixels="float"
    )
    np.testing.assert_array_equal(
        source.read(range(len(source))).numpy(), published[f"images {number}"], strict=True
    )
    labels = published[f"labels {number}"]
    raw = meta[dataset].labels(task)[source.rows]
    np.testing.assert_array_equal(
        raw, labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    )
    target, classes, domain, size = json.loads(str(published[f"described {number}"]))
    entry = meta[dataset].info.task(task)
    assert (entry.task_target, list(map(list, entry.labels.items()))) == (target, classes)
    assert (source.task.domain, list(meta[dataset].info.input_size)) == (domain, size)


def test_the_same_tasks_are_there(root: Path, published: Arrays) -> None:
    ours: dict[str, list[str]] = {}
    for task in MedIMeta(root).tasks:
        ours.setdefault(task.dataset, []).append(task.task)
    assert json.loads(str(published["available"])) == ours


def test_a_description_of_ours_is_read_there(
    tmp_path: Path, in_peers: Callable[..., Arrays]
) -> None:
    folder = write_dataset(tmp_path, tasks=[ORDINAL, LABELS])
    edit_info(folder, extra_key={"a": [1, 2]})
    before: dict[str, Any] = json.loads(str(in_peers(SCRIPT, tmp_path, "[]")["infos"]))
    info = MedIMeta(tmp_path)["toy"].info
    (folder / "info.yaml").write_text(info_text(info), encoding="utf-8")
    assert json.loads(str(in_peers(SCRIPT, tmp_path, "[]")["infos"])) == before
    made = DatasetInfo(
        id="toy",
        name="yes: no",
        domain="~",
        tasks=(TaskInfo("off", "BINARY_CLASSIFICATION", {0: "no", 1: "1e3: – é"}),),  # type: ignore[arg-type]
        input_size=(1, 6, 5),
        total_num_samples=12,
        splits_num_samples=SplitCounts(10, 1, 1),
    )
    (folder / "info.yaml").write_text(info_text(made), encoding="utf-8")
    read = json.loads(str(in_peers(SCRIPT, tmp_path, "[]")["infos"]))["toy"]
    assert (read["name"], read["domain"]) == ("yes: no", "~")
    assert read["tasks"] == [
        {
            "task_name": "off",
            "task_target": "BINARY_CLASSIFICATION",
            "labels": {"0": "no", "1": "1e3: – é"},
        }
    ]
