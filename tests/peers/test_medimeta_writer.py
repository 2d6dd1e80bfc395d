"""What our writer writes, the published package reads as it was given: images from HDF5 and TIFF,
labels, splits.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch import from_numpy

from benchmarks.peers.child import Arrays
from medimeta_adapter.writing.writer import DatasetWriter
from tests.medimeta.writing.toy_dataset import TASKS, draft, fill, further_columns, image, labels

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("medimeta_reader.py")
ROWS = 23
CASES = [
    (name, task.name, split, original, hdf5)
    for name in ("grey", "colour")
    for task in TASKS
    for split, original, hdf5 in (
        (None, None, True),
        (None, None, False),
        ("test", None, True),
        (None, "train", True),
    )
]
CHANNELS = {"grey": 1, "colour": 3}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, in_peers: Callable[..., Arrays]) -> Arrays:
    root = tmp_path_factory.mktemp("written")
    for name, channels in CHANNELS.items():
        with DatasetWriter(root / name, draft(channels, id=name)) as writer:
            fill(writer, ROWS, channels)
    return in_peers(SCRIPT, root, json.dumps(CASES))


@pytest.mark.parametrize(
    "number", range(len(CASES)), ids=lambda number: "-".join(map(str, CASES[number]))
)
def test_the_published_package_reads_what_was_given(published: Arrays, number: int) -> None:
    dataset, task, split, original, _ = CASES[number]
    kept = [row for row in range(ROWS) if split in (None, further_columns(row)["split"])]
    kept = [row for row in kept if original in (None, further_columns(row)["original_split"])]
    given = np.stack([image(row, CHANNELS[dataset]) for row in kept])
    given = given[:, None] if given.ndim == 3 else given.transpose(0, 3, 1, 2)
    # The published default transform: to 0..1, then (x - .5) / .5.
    expected = from_numpy(given).float().div(255).sub(0.5).div(0.5).numpy()
    np.testing.assert_array_equal(published[f"images {number}"], expected)
    found = published[f"labels {number}"]
    answers = np.array([labels(row)[task] for row in kept])
    np.testing.assert_array_equal(found.reshape(answers.shape), answers)
    assert found.dtype == np.int64
    target, classes, domain, size = json.loads(str(published[f"described {number}"]))
    info = next(entry for entry in TASKS if entry.name == task)
    assert (target, classes) == (
        str(info.task_target),
        [list(item) for item in info.labels.items()],
    )
    assert (domain, size) == ("Toys", [CHANNELS[dataset], 8, 9])


def test_the_published_package_finds_every_task(published: Arrays) -> None:
    assert json.loads(str(published["available"])) == {
        name: [task.name for task in TASKS] for name in CHANNELS
    }
