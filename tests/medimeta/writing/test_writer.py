"""What is written is what was given, in the published layout; what does not fit changes nothing."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import threading
from collections import namedtuple
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from medimeta_adapter.format.info import read_info
from medimeta_adapter.writing.pixel_file import PixelFile
from medimeta_adapter.writing.writer import DatasetWriter
from tests.medimeta.writing.toy_dataset import (
    SIDES,
    TASKS,
    draft,
    fill,
    further_columns,
    image,
    labels,
    tree,
)
from torchcross.errors import InputError, LabelError, TorchcrossError, WriteError


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip syncing: no test looks at a power cut, and a busy disk takes longer than the tests."""
    monkeypatch.setattr(os, "sync", lambda: None)


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


BAD_ROWS: list[tuple[dict[str, Any], type[TorchcrossError], str]] = [
    (
        {"image": image(0).astype(np.float32)},
        InputError,
        r"row 3 \('x.png'\): the image is float32 .*Recipe",
    ),
    ({"image": image(0)[:4]}, InputError, r"shape \(4, 9\), the dataset takes uint8 \(8, 9\)"),
    ({"image": image(0, 3)}, InputError, r"takes uint8 \(8, 9\)"),
    ({"image": Image.new("RGB", SIDES)}, InputError, "mode RGB, the dataset takes L"),
    ({"image": None}, InputError, "object"),
    (
        {"malignant": 2},
        LabelError,
        r"row 3 \('x.png'\), task 'malignant': the label is 2; expected one of 0 \(no\)",
    ),
    ({"malignant": -1}, LabelError, "no unknown labels"),
    ({"malignant": float("nan")}, LabelError, "row 3.*task 'malignant'.*nan"),
    ({"malignant": None}, LabelError, "row 3.*task 'malignant'"),
    ({"malignant": 0.5}, LabelError, "row 3.*task 'malignant'.*0.5"),
    ({"Clarity": 2}, LabelError, r"the label is 2; expected one of 1 \(poor\), 4 \(fair\), 10"),
    ({"findings": [1, 0]}, LabelError, "row 3.*task 'findings'"),
    ({"findings": [1, 0, 2]}, LabelError, r"the label is \[1, 0, 2\]; expected 3 zeros and ones"),
    ({"findings": 1}, LabelError, "row 3.*task 'findings'"),
    (
        {"kind of things": 1},
        LabelError,
        "no task is called 'kind of things'; did you mean 'kind of thing'",
    ),
    ({"Clarity": ...}, LabelError, r"no label of \['Clarity'\]"),
    ({"split": "dev"}, InputError, "'dev' is no split"),
    ({"original_split": "validation"}, InputError, "is no split"),
    ({"original_filepath": "a\0b"}, InputError, "without NULs"),
    ({"original_filepath": "\udcff.png"}, InputError, "not Unicode"),
    ({"patient_id": ""}, InputError, "patient_id"),
    ({"patient_id": 1.5}, InputError, "patient_id"),
    ({"annotations": {"age": float("nan")}}, InputError, "annotation 'age' is nan"),
    ({"annotations": {"age": [1]}}, InputError, "annotation 'age'"),
    ({"annotations": {"filepath": "x"}}, InputError, "the writer fills"),
    ({"annotations": {"Clarity": "x"}}, InputError, "the writer fills"),
]


@pytest.fixture(scope="module")
def six_rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("six") / "toy"
    with DatasetWriter(folder, draft()) as writer:
        fill(writer, 6)
    return tree(folder)


@pytest.mark.parametrize(("change", "kind", "match"), BAD_ROWS, ids=lambda value: str(value)[:40])
def test_a_refused_row_changes_nothing(
    tmp_path: Path,
    six_rows: dict[str, bytes],
    change: dict[str, Any],
    kind: type[TorchcrossError],
    match: str,
) -> None:
    with DatasetWriter(tmp_path / "toy", draft()) as writer:
        fill(writer, 3)
        given = {"image": image(3), **further_columns(3), "original_filepath": "x.png", **change}
        answers = labels(3) | {
            name: given.pop(name) for name in ("kind of things", *labels(0)) if name in given
        }
        answers = {name: label for name, label in answers.items() if label is not ...}
        with pytest.raises(kind, match=match):
            writer.add(given.pop("image"), answers, **given)
        assert writer.count == 3
        fill(writer, 6)
    assert tree(tmp_path / "toy") == six_rows


def test_a_batch_is_taken_whole_or_not_at_all(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "toy", draft(tasks=TASKS[1:2])) as writer:
        images, answers = np.stack([image(row) for row in range(5)]), np.array([0, 1, 1, 3, 1])
        names = [f"{row}.png" for row in range(5)]
        writer.add_batch(images[:2], {"malignant": answers[:2]}, splits="train")
        with pytest.raises(
            LabelError, match=r"row 5 \('3.png'\), task 'malignant': the label is 3"
        ):
            writer.add_batch(
                images, {"malignant": answers}, splits="train", original_filepaths=names
            )
        for wrong in (
            {"labels": {"malignant": answers[:3]}},
            {"splits": ["train"] * 4},
            {"patient_ids": ["a"]},
            {"annotations": {"age": [1]}},
            {"images": images[:, None]},
            {"images": [*images[:4], images[0, :3]]},
        ):
            given: dict[str, Any] = {
                "images": images,
                "labels": {"malignant": answers % 2},
                "splits": "val",
                **wrong,
            }
            with pytest.raises(InputError):
                writer.add_batch(given.pop("images"), given.pop("labels"), **given)
        assert writer.count == 2


@pytest.mark.parametrize("end", [ValueError("no"), KeyboardInterrupt()])
def test_an_exception_leaves_nothing_behind(tmp_path: Path, end: BaseException) -> None:
    with (  # noqa: PT012
        pytest.raises(type(end)),
        DatasetWriter(tmp_path / "toy", draft()) as writer,
    ):
        fill(writer, 3)
        raise end
    assert not list(tmp_path.iterdir())
    with pytest.raises(WriteError, match="not open"):
        writer.add(image(0), labels(0), split="train")


def test_an_existing_folder_is_refused_before_any_work_and_replaced_on_request(
    tmp_path: Path,
) -> None:
    with DatasetWriter(tmp_path / "toy", draft()) as writer:
        fill(writer, 3)
    before = tree(tmp_path / "toy")
    with pytest.raises(WriteError, match=r"exists; choose another folder, or overwrite=True"):
        DatasetWriter(tmp_path / "toy", draft()).__enter__()
    with (  # noqa: PT012
        pytest.raises(RuntimeError),
        DatasetWriter(tmp_path / "toy", draft(), overwrite=True) as writer,
    ):
        fill(writer, 2)
        raise RuntimeError
    assert tree(tmp_path / "toy") == before
    with DatasetWriter(tmp_path / "toy", draft(), overwrite=True) as writer:
        fill(writer, 5)
    assert read_info(tmp_path / "toy/info.yaml").total_num_samples == 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["toy"]


def test_two_writers_of_one_folder_do_not_meet(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "toy", draft()) as writer:
        fill(writer, 2)
        for resume in (True, False):
            with pytest.raises(WriteError, match="is being written by another writer"):
                DatasetWriter(tmp_path / "toy", draft(), resume=resume).__enter__()
        fill(writer, 4)
    assert read_info(tmp_path / "toy/info.yaml").total_num_samples == 4


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


@pytest.mark.parametrize(
    ("options", "rows", "splits", "match"),
    [
        ({}, 0, None, "0 rows, at least one"),
        ({"total": 3}, 2, None, "2 rows, total=3"),
        (
            {},
            2,
            ["train", "train"],
            "row 0 was added to 'test', and assign_splits puts it into 'train'",
        ),
        ({}, -1, None, "1 rows have no split, the first is row 0"),
    ],
)
def test_a_dataset_that_is_not_whole_is_not_written(
    tmp_path: Path, options: dict[str, Any], rows: int, splits: Any, match: str
) -> None:
    with (  # noqa: PT012
        pytest.raises(WriteError, match=match),
        DatasetWriter(tmp_path / "toy", draft(), **options) as writer,
    ):
        fill(writer, max(rows, 0))
        if rows < 0:
            writer.add(image(0), labels(0))
        if splits:
            writer.assign_splits(splits)
    assert not list(tmp_path.iterdir())


def test_more_rows_than_announced_are_refused(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "toy", draft(), total=2) as writer:
        fill(writer, 2)
        with pytest.raises(WriteError, match="row 2 is one too many"):
            writer.add(image(2), labels(2), **further_columns(2))


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


def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    told_of = r"toy cannot be written: the disk is full"
    with (  # noqa: PT012
        pytest.raises(WriteError, match="could not be written"),
        DatasetWriter(tmp_path / "toy", draft()) as writer,
    ):
        fill(writer, 2)
        with monkeypatch.context() as patch:
            patch.setattr(PixelFile, "write", full)
            with pytest.raises(WriteError, match=told_of):
                fill(writer, 3)
        with pytest.raises(WriteError, match="none can follow"):
            writer.add(image(3), labels(3), **further_columns(3))
    assert not list(tmp_path.iterdir())
    with (  # noqa: PT012
        pytest.raises(WriteError, match=told_of),
        DatasetWriter(tmp_path / "toy", draft()) as writer,
    ):
        fill(writer, 2)
        monkeypatch.setattr(np, "save", full)
    assert not list(tmp_path.iterdir())


def test_a_dataset_that_cannot_fit_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 10**6))
    DatasetWriter(tmp_path / "toy", draft(), total=5000).__enter__().__exit__(
        ValueError, None, None
    )
    with pytest.raises(WriteError, match=r"1,000,000 bytes free and the dataset takes 1,440,000"):
        DatasetWriter(tmp_path / "toy", draft(), total=10_000).__enter__()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"id": "a/b"}, "slash"),
        ({"id": "a\0"}, "id"),
        ({"input_size": (2, 8, 8)}, "channels"),
        ({"tasks": []}, "tasks"),
        ({"tasks": [TASKS[0], TASKS[0]]}, "second task"),
    ],
)
def test_drafts_that_describe_no_dataset(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        draft(**changes)


def test_the_folder_bears_the_id_and_an_info_is_a_draft(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not named as the dataset"):
        DatasetWriter(tmp_path / "other", draft())
    with DatasetWriter(tmp_path / "a/toy", draft(extra={"preprocess": "as it came"})) as writer:
        fill(writer, 3)
    with DatasetWriter(tmp_path / "b/toy", read_info(tmp_path / "a/toy/info.yaml")) as writer:
        fill(writer, 3)
    assert tree(tmp_path / "a/toy") == tree(tmp_path / "b/toy")
    assert read_info(tmp_path / "b/toy/info.yaml").extra == {"preprocess": "as it came"}


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be written"):
        DatasetWriter(tmp_path / "file/toy", draft()).__enter__()


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
