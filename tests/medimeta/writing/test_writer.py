"""What is written is what was given, in the published layout."""

from __future__ import annotations

import csv
import threading
from enum import StrEnum
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from medimeta_adapter.format.info import SplitCounts, TaskInfo, read_info
from medimeta_adapter.format.problems import TaskTarget
from medimeta_adapter.writing.writer import DatasetWriter
from tests.medimeta.writing.toy_dataset import (
    TASKS,
    draft,
    fill,
    further_columns,
    image,
    labels,
    tree,
)
from torchcross.errors import InputError

pytestmark = pytest.mark.usefixtures("unsynced")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("rows", [1, 25])
def test_what_is_written_is_what_was_given(tmp_path: Path, channels: int, rows: int) -> None:
    with DatasetWriter(tmp_path / "toy", draft(channels), total=rows) as writer:
        fill(writer, rows, channels)
    folder = tmp_path / "toy"
    images = np.stack([image(row, channels) for row in range(rows)])
    with h5py.File(folder / "images.hdf5", "r") as file:
        dataset = file["images"]
        assert (dataset.dtype, dataset.chunks, dataset.compression) == (np.uint8, None, None)
        np.testing.assert_array_equal(dataset[:], images, strict=True)
        offset = dataset.id.get_offset()
    mapped = np.memmap(folder / "images.hdf5", np.uint8, "r", offset, images.shape)
    np.testing.assert_array_equal(mapped, images)
    for row in range(rows):
        with Image.open(folder / f"images/{row:06d}.tiff") as tiff:
            np.testing.assert_array_equal(np.asarray(tiff), images[row], strict=True)
    for task in TASKS:
        saved = np.load(folder / f"task_labels/{task.name}.npy", allow_pickle=False)
        np.testing.assert_array_equal(
            saved, np.array([labels(row)[task.name] for row in range(rows)]), strict=True
        )
    info = read_info(folder / "info.yaml")
    assert (info.total_num_samples, info.tasks) == (rows, tuple(TASKS))
    assert info.splits_num_samples.test == len(range(0, rows, 4))
    assert (folder / "LICENSE").read_text() == "CC0 1.0\n"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["toy"]
    assert not [entry.name for entry in folder.iterdir() if entry.name.startswith(".")]


def test_splits_are_lists_of_images_and_an_empty_one_has_no_file(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "toy", draft()) as writer:
        fill(writer, 6)
    splits = {path.name: path.read_text().split() for path in (tmp_path / "toy/splits").iterdir()}
    assert splits == {
        "train.txt": [f"images/00000{row}.tiff" for row in (1, 2, 3, 5)],
        "test.txt": ["images/000000.tiff", "images/000004.tiff"],
    }
    assert [path.name for path in (tmp_path / "toy/original_splits").iterdir()] == ["train.txt"]


def test_annotations_are_laid_out_as_published(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "toy", draft()) as writer:
        fill(writer, 6)
    with (tmp_path / "toy/annotations.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == [
        *(
            "filepath",
            "split",
            "tasks/kind of thing",
            "tasks/malignant",
            "tasks/findings",
            "tasks/Clarity",
        ),
        *("original_filepath", "original_split", "patient_id"),
        *("Clarity", "age", "findings", "kind of thing", "malignant", "note"),
    ]
    assert rows[1] == [
        *("images/000000.tiff", "test", "0", "0", "[0, 0, 1]", "1", 'folder, "a"/0.png', "", "p0"),
        *("poor", "0.5", "ring", "disc", "no", "line\n0"),
    ]
    assert rows[6][4:] == [
        *("[1, 0, 1]", "10", 'folder, "a"/5.png', "train", "p2"),
        *("good", "5.5", "dot|ring", "square", "yes", ""),
    ]


def test_without_patients_and_tiffs_there_are_none(tmp_path: Path) -> None:
    with DatasetWriter(
        tmp_path / "toy", draft(license=""), tiffs=False, license_text="Mine.\n"
    ) as writer:
        writer.add(image(0), labels(0), split="val")
    head = (tmp_path / "toy/annotations.csv").read_text().splitlines()[0]
    assert "patient_id" not in head
    assert not (tmp_path / "toy/images").exists()
    assert (tmp_path / "toy/LICENSE").read_text() == "Mine.\n"


@pytest.mark.parametrize("channels", [1, 3])
def test_batches_write_the_same_bytes_as_single_rows(tmp_path: Path, channels: int) -> None:
    with DatasetWriter(tmp_path / "one/toy", draft(channels)) as writer:
        fill(writer, 30, channels)
    with DatasetWriter(tmp_path / "many/toy", draft(channels)) as writer:
        assert writer.add_batch(
            np.empty((0, *image(0, channels).shape), np.uint8), {}, splits=None
        ) == range(0)
        for rows in (range(7), range(7, 8), range(8, 30)):
            extra = [further_columns(row) for row in rows]
            added = writer.add_batch(
                np.stack([image(row, channels) for row in rows]),
                {task.name: np.array([labels(row)[task.name] for row in rows]) for task in TASKS},
                splits=[one["split"] for one in extra],
                original_splits=[one["original_split"] for one in extra],
                original_filepaths=[one["original_filepath"] for one in extra],
                patient_ids=[one["patient_id"] for one in extra],
                annotations={
                    name: [one["annotations"][name] for one in extra] for name in ("age", "note")
                },
            )
            assert added == rows
    assert tree(tmp_path / "one/toy") == tree(tmp_path / "many/toy")


def test_labels_may_be_names_and_any_kind_of_number(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "toy", draft()) as writer:
        given = {
            "kind of thing": "square",
            "malignant": True,
            "findings": np.array([1.0, 0, 1]),
            "Clarity": "fair",
        }
        writer.add(Image.fromarray(image(0)), given, split="train", patient_id=7)
    found = {
        task.name: np.load(tmp_path / f"toy/task_labels/{task.name}.npy")[0].tolist()
        for task in TASKS
    }
    assert found == {"kind of thing": 2, "malignant": 1, "findings": [1, 0, 1], "Clarity": 4}


@pytest.mark.parametrize("total", [None, 30])
def test_the_bytes_do_not_depend_on_what_was_announced(tmp_path: Path, total: int | None) -> None:
    with DatasetWriter(tmp_path / "one/toy", draft(), total=12) as writer:
        fill(writer, 12)
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt),
        DatasetWriter(tmp_path / "two/toy", draft(), total=total, resume=True) as writer,
    ):
        fill(writer, 5)
        raise KeyboardInterrupt
    with DatasetWriter(tmp_path / "two/toy", draft(), resume=True) as writer:
        fill(writer, 12)
    assert tree(tmp_path / "one/toy") == tree(tmp_path / "two/toy")


def test_splits_may_come_last(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "toy", draft()) as writer:
        for row in range(4):
            writer.add(image(row), labels(row), split="test" if row == 2 else None)
        for wrong in (
            ["train"] * 3,
            ["train", "dev", "test", "val"],
            ["dev", "train", "test", "val"],
        ):
            with pytest.raises(InputError, match="split"):
                writer.assign_splits(wrong)
        writer.assign_splits(np.array(["train", "train", "test", "val"]))
    counts = read_info(tmp_path / "toy/info.yaml").splits_num_samples
    assert (counts.train, counts.val, counts.test) == (2, 1, 1)


def test_many_threads_add_at_once(tmp_path: Path) -> None:
    rows: dict[int, int] = {}

    def work(first: int) -> None:
        for number in range(first, first + 100):
            rows[writer.add(image(number), labels(number), **further_columns(number))] = number

    with DatasetWriter(tmp_path / "toy", draft(), tiffs=False) as writer:
        threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert writer.count == 800
    with h5py.File(tmp_path / "toy/images.hdf5", "r") as file:
        images = file["images"][:]
    kinds = np.load(tmp_path / "toy/task_labels/kind of thing.npy")
    assert sorted(rows) == list(range(800))
    for row, number in rows.items():
        np.testing.assert_array_equal(images[row], image(number))
        assert kinds[row] == number % 3


def test_the_folder_bears_the_id_and_an_info_is_a_draft(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not named as the dataset"):
        DatasetWriter(tmp_path / "other", draft())
    with DatasetWriter(tmp_path / "a/toy", draft(extra={"preprocess": "as it came"})) as writer:
        fill(writer, 3)
    with DatasetWriter(tmp_path / "b/toy", read_info(tmp_path / "a/toy/info.yaml")) as writer:
        fill(writer, 3)
    assert tree(tmp_path / "a/toy") == tree(tmp_path / "b/toy")
    assert read_info(tmp_path / "b/toy/info.yaml").extra == {"preprocess": "as it came"}


def test_further_files_and_further_info(tmp_path: Path) -> None:
    files = {"left_out.csv": "name\n\u00e4\n"}
    info = {"conversion": {"rows": 3}}
    with DatasetWriter(
        tmp_path / "toy", draft(), further_files=files, further_info=info, tiffs=False
    ) as writer:
        fill(writer, 3)
    assert (tmp_path / "toy/left_out.csv").read_text(encoding="utf-8") == files["left_out.csv"]
    assert read_info(tmp_path / "toy/info.yaml").extra["conversion"] == {"rows": 3}
    for name in ("info.yaml", "images", ".hidden", "a/b", ".."):
        with pytest.raises(InputError, match="cannot be a further file"):
            DatasetWriter(tmp_path / "toy", draft(), further_files={name: ""})


class Grade(StrEnum):
    POOR = "poor"
    GOOD = "good"


def test_values_of_numpy_and_of_enumerations_are_written_plainly(tmp_path: Path) -> None:
    kinds = dict(enumerate(np.unique(["star", "disc"])))
    grades = dict(zip(np.array([1, 4]), Grade, strict=True))
    tasks = [
        TaskInfo("kind", TaskTarget.BINARY_CLASSIFICATION, kinds),
        TaskInfo("grade", TaskTarget.ORDINAL_REGRESSION, grades),
    ]
    extra = {"year": np.int64(2019), "mean": np.array([0.5, 1]), "grade": Grade.POOR}
    mine = draft(tasks=tasks, extra=extra, domain=np.str_("Toys"))
    with DatasetWriter(tmp_path / "toy", mine, tiffs=False) as writer:
        writer.add(image(0), {"kind": 1, "grade": 4}, split="train")
    info = read_info(tmp_path / "toy/info.yaml")
    assert [task.labels for task in info.tasks] == [{0: "disc", 1: "star"}, {1: "poor", 4: "good"}]
    assert info.extra == {"year": 2019, "mean": (0.5, 1.0), "grade": "poor"}
    counts: Any = np.int64(3)
    assert SplitCounts(train=counts).total == 3


def test_text_files_have_the_same_line_ends_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text = Path.write_text

    def write_text_there(path: Path, text: str, newline: str | None = None, **more: Any) -> int:
        return write_text(path, text, newline="\r\n" if newline is None else newline, **more)

    monkeypatch.setattr(Path, "write_text", write_text_there)
    with DatasetWriter(tmp_path / "toy", draft(), further_files={"a.txt": "a\n"}) as writer:
        fill(writer, 3)
    texts = [content for name, content in tree(tmp_path / "toy").items() if "images" not in name]
    assert not any(b"\r" in text for text in texts)
