"""Arrays and their labels: every kind of task, numbers and names, memory maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medimeta_adapter.convert import ArrayTask, arrays
from medimeta_adapter.convert.tasks import encode_task
from medimeta_adapter.format.dataset import MedIMetaDataset
from tests.medimeta.convert_cases import ABOUT, SMALL, Written
from torchcross.errors import InputError, LabelError

COUNT = 30
GREY = np.zeros((COUNT, 8, 8), np.uint8)


def convert(tmp_path: Path, *tasks: ArrayTask, images: Any = GREY, **more: Any) -> Written:
    return Written(arrays(images, tasks, tmp_path, ABOUT, options=SMALL, **more))


def test_all_four_kinds_at_once(tmp_path: Path) -> None:
    rows = np.arange(COUNT)
    written = convert(
        tmp_path,
        ArrayTask("kind", "multiclass", rows % 3, ["a", "b", "c"]),
        ArrayTask("ill", "binary", rows % 2 == 1, {0: "no", 1: "yes"}),
        ArrayTask("marks", "multilabel", np.stack([rows % 2, rows % 3 == 0], axis=1), ["x", "y"]),
        ArrayTask("grade", "ordinal", (rows % 3) * 4, {0: "none", 4: "some", 8: "much"}),
    )
    assert written.labels("kind")[:4] == [0, 1, 2, 0]
    assert written.labels("ill")[:3] == [0, 1, 0]
    assert written.labels("marks")[:4] == [[0, 1], [1, 0], [0, 0], [1, 1]]
    assert written.labels("grade")[:4] == [0, 4, 8, 0]
    assert written.names("grade") == {0: "none", 4: "some", 8: "much"}
    targets = [written.target(task) for task in ("kind", "ill", "marks", "grade")]
    assert targets == [
        "MULTICLASS_CLASSIFICATION",
        "BINARY_CLASSIFICATION",
        "MULTILABEL_CLASSIFICATION",
        "ORDINAL_REGRESSION",
    ]


def test_names_as_labels_are_sorted(tmp_path: Path) -> None:
    written = convert(tmp_path, ArrayTask("kind", "multiclass", ["pear", "apple", "fig"] * 10))
    assert written.names("kind") == {0: "apple", 1: "fig", 2: "pear"}
    assert written.labels("kind")[:3] == [2, 0, 1]


def test_numbers_without_names_name_themselves(tmp_path: Path) -> None:
    written = convert(tmp_path, ArrayTask("kind", "multiclass", np.array([3, 7, 9] * 10)))
    assert written.names("kind") == {0: "3", 1: "7", 2: "9"}
    assert written.labels("kind")[:3] == [0, 1, 2]


def test_grades_keep_their_gaps(tmp_path: Path) -> None:
    written = convert(tmp_path, ArrayTask("grade", "ordinal", np.array([1, 4, 10] * 10)))
    assert written.names("grade") == {1: "1", 4: "4", 10: "10"}
    assert written.labels("grade")[:3] == [1, 4, 10]


def test_a_column_of_labels(tmp_path: Path) -> None:
    assert convert(tmp_path, ArrayTask("ill", "binary", np.arange(COUNT)[:, None] % 2)).labels(
        "ill"
    )[:2] == [0, 1]


@given(
    st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=2).filter(
        lambda names: len(set(names)) > 1
    )
)
def test_names_come_back(names: list[str]) -> None:
    task, values = encode_task("kind", "multiclass", names, None)
    assert [task.labels[value] for value in values.tolist()] == names
    assert list(task.labels.values()) == sorted(set(names))


@given(st.lists(st.integers(0, 100), min_size=2).filter(lambda grades: len(set(grades)) > 1))
def test_grades_come_back(grades: list[int]) -> None:
    task, values = encode_task("grade", "ordinal", [float(grade) for grade in grades], None)
    assert values.tolist() == grades
    assert list(task.labels) == sorted(set(grades))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 3), (8, 8, 4)])
def test_shapes_of_images(tmp_path: Path, shape: tuple[int, ...]) -> None:
    images = np.full((COUNT, *shape), 255, np.uint8)
    written = convert(tmp_path, ArrayTask("ill", "binary", np.arange(COUNT) % 2), images=images)
    assert written.images.shape == (COUNT, 8, 8, *([3] if shape[-1] in (3, 4) else []))
    assert written.images.min() == 255


def test_a_memory_map(tmp_path: Path) -> None:
    np.save(
        tmp_path / "images.npy",
        np.broadcast_to(np.arange(COUNT, dtype=np.uint8)[:, None, None], (COUNT, 8, 8)),
    )
    images = np.load(tmp_path / "images.npy", mmap_mode="r")
    written = convert(
        tmp_path / "out", ArrayTask("ill", "binary", np.arange(COUNT) % 2), images=images
    )
    assert written.numbers() == list(range(COUNT))


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (ArrayTask("t", "regression", np.zeros(COUNT)), "'regression' is not a kind of task"),
        (ArrayTask("t", "binary", np.full(COUNT, 0.5)), "label 0 of 't' is 0.5"),
        (ArrayTask("t", "binary", np.full(COUNT, np.nan)), "label 0 of 't' is nan"),
        (
            ArrayTask("t", "binary", np.arange(COUNT) % 2, {0: "no"}),
            "label 1 of 't' is 1; the labels are 0",
        ),
        (ArrayTask("t", "multiclass", ["a", "b"] * 15, ["a", "c"]), "label 1 of 't' is 'b'"),
        (ArrayTask("t", "multilabel", np.zeros(COUNT)), r"has \(N, L\)"),
        (ArrayTask("t", "multiclass", np.zeros((COUNT, 2))), "one label per image"),
        (ArrayTask("t", "multiclass", np.zeros(COUNT), "ab"), "is one text"),
        (ArrayTask("t", "multiclass", ["a"] * COUNT), "all labels of 't' are 'a'"),
        (ArrayTask("t", "ordinal", np.full(COUNT, 4)), "all labels of 't' are 4"),
        (ArrayTask("t", "binary", np.arange(COUNT - 1) % 2), "30 images and 29 labels of t"),
    ],
)
def test_wrong_labels(tmp_path: Path, task: ArrayTask, said: str) -> None:
    with pytest.raises((InputError, LabelError), match=said):
        convert(tmp_path, task)
    assert not (tmp_path / "shapes").exists()


@pytest.mark.parametrize("images", [np.zeros((COUNT, 8)), np.zeros((COUNT, 3, 8, 8)), [[1, 2]]])
def test_wrong_images(tmp_path: Path, images: Any) -> None:
    with pytest.raises(InputError, match="channels last"):
        convert(tmp_path, ArrayTask("t", "binary", np.arange(COUNT) % 2), images=images)


def test_subjects_as_the_reader_has_them(tmp_path: Path) -> None:
    task = ArrayTask("t", "binary", np.arange(COUNT) % 2)
    who = np.where(np.arange(COUNT) % 5 == 0, np.nan, np.arange(COUNT) // 2)
    written = convert(tmp_path, task, subjects=who)
    assert written.column("patient_id")[:4] == ["", "0", "1", "1"]
    assert written.column("patient_id").count("") == 6
    read = MedIMetaDataset(written.folder).subjects()
    assert len(set(read)) == len({*who[~np.isnan(who)].tolist()}) + 6


def test_subjects_that_are_all_unknown_are_no_column(tmp_path: Path) -> None:
    task = ArrayTask("t", "binary", np.arange(COUNT) % 2)
    written = convert(tmp_path, task, subjects=["n/a"] * COUNT)
    assert MedIMetaDataset(written.folder).subjects() is None


def test_texts_as_bytes(tmp_path: Path) -> None:
    task = ArrayTask("t", "binary", np.array(["nö".encode(), b"yes"] * 15))
    written = convert(
        tmp_path,
        task,
        subjects=np.array([b"a", b"b", b"c"] * 10),
        original_splits=[b"train"] * COUNT,
    )
    assert written.names("t") == {0: "nö", 1: "yes"}
    assert set(written.column("patient_id")) == {"a", "b", "c"}
    with pytest.raises(InputError, match="not UTF-8 text"):
        convert(tmp_path / "bad", task, subjects=[b"\xff"] * COUNT)
    with pytest.raises(LabelError, match="label 1 of 't' is None"):
        convert(
            tmp_path / "none", ArrayTask("t", "binary", np.array(["a", None] * 15, dtype=object))
        )


def test_names_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'p\\udcff' is not Unicode text"):
        convert(
            tmp_path, ArrayTask("t", "binary", np.arange(COUNT) % 2), subjects=["p\udcff"] * COUNT
        )


def test_no_tasks_and_no_rows(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one task"):
        convert(tmp_path)
    with pytest.raises(InputError, match="no rows"):
        convert(
            tmp_path,
            ArrayTask("t", "binary", np.zeros(0), ["a", "b"]),
            images=np.zeros((0, 8, 8), np.uint8),
        )


def test_a_fraction_among_texts_is_refused_unless_it_is_a_name(tmp_path: Path) -> None:
    values = np.array(["1", "2", "1.5"] * 10)
    with pytest.raises(LabelError, match=r"label 2 of 'grade' is '1\.5'.*10 of 30 labels"):
        convert(tmp_path, ArrayTask("grade", "multiclass", values))
    written = convert(tmp_path, ArrayTask("grade", "ordinal", values, ["1", "1.5", "2"]))
    assert written.labels("grade")[:3] == [0, 2, 1]
