"""A row, a batch, a draft or a dataset that does not fit is refused by name and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medimeta_adapter.format.info import TaskInfo
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

pytestmark = pytest.mark.usefixtures("unsynced")

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
    ({"malignant": -1}, LabelError, "missing_label=-1"),
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


def named(name: str) -> TaskInfo:
    return replace(TASKS[0], name=name)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"id": "a/b"}, "slash"),
        ({"id": "a\0"}, "id"),
        ({"input_size": (2, 8, 8)}, "channels"),
        ({"tasks": []}, "tasks"),
        ({"tasks": [TASKS[0], TASKS[0]]}, "second task"),
        ({"extra": {"license": "mine"}}, r"the extra keys \['license'\]"),
        ({"extra": {"made": {"by": object()}}}, "info.yaml cannot hold <object object"),
        ({"original_data": [{"file": Path("a")}]}, "info.yaml cannot hold .*Path"),
        ({"extra": {"parts": {1, 2}}}, r"could not be read again: info.yaml, line \d+: the tag"),
        ({"summary": "\udcff"}, "could not be read again: info.yaml"),
        ({"summary": "x" * (1 << 20)}, "info.yaml would have 1,0[0-9,]+ bytes"),
        ({"tasks": [TASKS[0], named("patient_id")]}, "the name of a column of annotations.csv"),
        ({"tasks": [named("sick?")]}, r"Windows has no files with \? in their names"),
        ({"tasks": [named("Sick"), named("sick")]}, "'Sick' and 'sick' would share one file"),
    ],
)
def test_drafts_that_describe_no_dataset(changes: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        draft(**changes)


def test_a_key_that_the_writer_fills_is_refused_before_any_row(tmp_path: Path) -> None:
    mine = draft(extra={"conversion": "by hand"})
    with pytest.raises(InputError, match=r"has the extra keys \['conversion'\], which are filled"):
        DatasetWriter(tmp_path / "toy", mine, further_info={"conversion": {"rows": 3}})
    with pytest.raises(InputError, match=r"info\.yaml cannot hold"):
        DatasetWriter(tmp_path / "toy", draft(), further_info={"conversion": object()})
