"""Rows of a table without a label stay as images with an unknown label: `missing="keep"`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medimeta_adapter import MedIMeta, MedIMetaDataset, TaskInfo, info_text, read_info
from medimeta_adapter.audit import check
from medimeta_adapter.convert import CsvTask, Options, csv_images
from tests.medimeta.convert_cases import ABOUT, SMALL, Written, picture, save
from torchcross.data import EpisodeSampler
from torchcross.errors import DatasetFileError, InputError

TASKS = (
    CsvTask("kind", "multiclass", "kind"),
    CsvTask("ill", "binary", "ill", ["no", "yes"]),
    CsvTask("grade", "ordinal", "grade", {-1: "less", 0: "none", 4: "some"}),
    CsvTask("marks", "multilabel", ["x", "y"]),
    CsvTask("found", "multilabel", "found"),
    CsvTask("nodule", "multilabel", "nodule"),
)


def cells(n: int) -> list[object]:
    """Row 3 says nothing; row 4 says half of one task."""
    if n == 3:
        return ["", "nan", " ", "", "NaN", "nan", ""]
    return [
        ("disc", "star")[n % 2],
        n % 2,
        (-1, 0, 4)[n % 3],
        n % 2,
        "" if n == 4 else n // 2 % 2,
        ("", "a|b", "b")[n % 3],
        n % 2,
    ]


def table(folder: Path, count: int = 24, row: Any = cells) -> Path:
    lines = []
    for n in range(count):
        save(picture(n), folder / f"{n}.png")
        lines.append(",".join(map(str, [f"{n}.png", *row(n)])))
    path = folder / "table.csv"
    header = "path,kind,ill,grade,x,y,found,nodule"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def convert(path: Path, options: Options = SMALL, tasks: Any = TASKS, **more: Any) -> Any:
    return csv_images(
        path, path.parent / "out", ABOUT, tasks, missing="keep", options=options, **more
    )


def test_every_kind_of_task_has_unknown_labels(tmp_path: Path) -> None:
    written = Written(convert(table(tmp_path)))
    assert written.numbers() == list(range(24))
    assert [entry["missing_label"] for entry in written.info["tasks"]] == [-1, -1, -2, -1, -1, -1]
    assert written.labels("kind")[2:5] == [0, -1, 0]
    assert written.labels("ill")[2:5] == [0, -1, 0]
    assert written.labels("grade")[2:5] == [4, -2, 0]
    assert written.labels("marks")[2:5] == [[0, 1], [-1, -1], [0, -1]]
    assert written.labels("found")[2:5] == [[0, 1], [-1, -1], [1, 1]]
    assert written.labels("nodule")[2:5] == [[0], [-1], [0]]
    assert written.column("kind")[2:5] == ["disc", "", "disc"]
    assert written.column("marks")[1:5] == ["x", "y", "", ""]


def test_the_reader_has_the_unknown_labels_of_the_library(tmp_path: Path) -> None:
    convert(table(tmp_path))
    data = MedIMeta(tmp_path / "out")
    for task, unknown in (("kind", [3]), ("ill", [3]), ("grade", [3]), ("marks", [3, 4])):
        source = data.source("shapes", task)
        codes = np.asarray(source.labels).reshape(24, -1)
        assert np.flatnonzero((codes == -1).any(axis=1)).tolist() == unknown
    source = data.source("shapes", "kind")
    episodes = EpisodeSampler(source, shots=2, queries=2, seed=0)
    drawn = {n for i in range(60) for n in [*episodes[i].support, *episodes[i].query]}
    assert drawn == set(range(24)) - {3}


def test_what_stays_is_counted_and_named(tmp_path: Path) -> None:
    converted = convert(table(tmp_path))
    assert [(entry.name, entry.task, entry.labels) for entry in converted.unlabelled[3:]] == [
        ("3.png", "marks", ("x", "y")),
        ("3.png", "found", ("a", "b")),
        ("3.png", "nodule", ("nodule",)),
        ("4.png", "marks", ("y",)),
    ]
    assert "2 with an unknown label of 'marks' stay" in str(converted)
    said = converted.describe()
    assert "with an unknown label:\n  3.png (kind)\n" in said
    assert "4.png (marks, y)" in said
    lines = (converted.folder / "unlabelled.csv").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["name,task,labels", "3.png,kind,"]
    assert lines[-1] == "4.png,marks,y"
    assert not (converted.folder / "left_out.csv").exists()
    counts = Written(converted).info["conversion"]["unlabelled"]
    assert counts == {"kind": 1, "ill": 1, "grade": 1, "marks": 2, "found": 1, "nodule": 1}
    assert "column 'found': 7 cells are empty, which says" in said


def test_a_table_with_all_labels_is_converted_as_before(tmp_path: Path) -> None:
    kept = convert(table(tmp_path, row=lambda n: cells(n + (n >= 3) * 2)))
    entries = Written(kept).info["tasks"]
    assert all("missing_label" not in entry for entry in entries)
    assert kept.unlabelled == ()
    assert not (kept.folder / "unlabelled.csv").exists()


def test_a_task_without_any_label_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, row=lambda n: ["", *cells(0)[1:]])
    with pytest.raises(
        InputError, match=r"any label of 'kind'; correct its column, or leave the task"
    ):
        convert(path)


def test_a_column_of_names_without_nan_is_all_known(tmp_path: Path) -> None:
    task = CsvTask("found", "multilabel", "found", ["a", "b", "nan"])
    written = Written(convert(table(tmp_path), tasks=(task,)))
    assert written.labels("found")[3] == [0, 0, 1]
    assert "missing_label" not in written.info["tasks"][0]


def test_an_unknown_label_contradicts_no_label_of_a_duplicate(tmp_path: Path) -> None:
    path = table(tmp_path)
    for n, same in ((3, 5), (4, 6)):
        save(picture(same), tmp_path / f"{n}.png")
    converted = convert(path, replace(SMALL, duplicates="drop"), tasks=TASKS[:1])
    assert converted.unlabelled == ()
    # Row 5 has a label and stays; of rows 4 and 6, with one label, the first does.
    assert [entry.name for entry in converted.left_out] == ["3.png", "6.png"]
    columns = convert(path, replace(SMALL, duplicates="drop", overwrite=True), tasks=TASKS[3:4])
    assert (columns.duplicates, columns.contradictory) == (2, 0)
    path.write_text(path.read_text().replace("6.png,disc", "6.png,star"), encoding="utf-8")
    against = convert(path, replace(SMALL, duplicates="drop", overwrite=True), tasks=TASKS[:1])
    assert (against.duplicates, against.contradictory) == (1, 2)


def test_limits_splits_and_a_second_call(tmp_path: Path) -> None:
    path = table(tmp_path)
    multilabel = convert(path, replace(SMALL, limit=2), tasks=TASKS[3:4])
    assert len(Written(multilabel).images) <= 6
    single = convert(path, replace(SMALL, limit=2, overwrite=True), tasks=TASKS[:1])
    assert [entry.name for entry in single.unlabelled] == ["3.png"]
    assert len(Written(single).images) == 5


def test_an_audit_counts_unknown_labels_and_finds_no_error(tmp_path: Path) -> None:
    convert(table(tmp_path))
    report = check(tmp_path / "out")
    assert not report.errors
    unknown = {entry.field: entry.count for entry in report.notes if entry.code == "labels-unknown"}
    assert unknown == {"kind": 1, "ill": 1, "grade": 1, "marks": 2, "found": 1, "nodule": 1}


def test_info_yaml_declares_the_value(tmp_path: Path) -> None:
    folder = convert(table(tmp_path)).folder
    info = read_info(folder / "info.yaml")
    assert info.task("grade").missing_label == -2
    assert info.task("grade").target().missing == (-2,)
    assert info_text(info) == (folder / "info.yaml").read_text(encoding="utf-8")
    text = (folder / "info.yaml").read_text(encoding="utf-8")
    (folder / "info.yaml").write_text(text.replace("missing_label: -2", "missing_label: 4"))
    with pytest.raises(DatasetFileError, match=r"tasks\[2\].missing_label: .*also classes"):
        read_info(folder / "info.yaml")
    (folder / "info.yaml").write_text(text.replace("missing_label: -2", "missing_label: no"))
    with pytest.raises(DatasetFileError, match=r"no label value; give the integer that means"):
        read_info(folder / "info.yaml")
    (folder / "info.yaml").write_text(text.replace("  missing_label: -2\n", ""))
    with pytest.raises(DatasetFileError, match=r"outside the labels of task 'grade'"):
        MedIMetaDataset(folder).labels("grade")


def test_zero_can_mean_unknown() -> None:
    task = TaskInfo("t", "MULTICLASS_CLASSIFICATION", {1: "a", 2: "b"}, missing_label=0)
    assert task.target().encode([0, 1, 2]).tolist() == [-1, 0, 1]
