"""Tables: labels, subjects and splits by column, and paths that stay below the root."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medimeta_adapter.convert import CsvTask, csv_images
from tests.medimeta.convert_cases import ABOUT, SMALL, Written, picture, save, split_counts
from torchcross.errors import InputError, LabelError

KIND = CsvTask("kind", "multiclass", "kind")


def table(folder: Path, extra: str = "", cells: Any = lambda n: "", count: int = 20) -> Path:
    for n in range(count):
        save(picture(n), folder / "images" / f"{n}.png")
    lines = [f"images/{n}.png,{('disc', 'star')[n % 2]}{cells(n)}" for n in range(count)]
    path = folder / "table.csv"
    path.write_text("\n".join([f"path,kind{extra}", *lines]) + "\n", encoding="utf-8")
    return path


def convert(path: Path, *tasks: CsvTask, **more: Any) -> Written:
    options = replace(SMALL, overwrite=more.pop("overwrite", False))
    return Written(
        csv_images(path, path.parent / "out", ABOUT, tasks or [KIND], options=options, **more)
    )


def test_names_in_a_column(tmp_path: Path) -> None:
    written = convert(table(tmp_path))
    assert written.names("kind") == {0: "disc", 1: "star"}
    assert written.labels("kind") == [0, 1] * 10
    assert written.numbers() == list(range(20))
    assert written.column("original_filepath")[3] == "images/3.png"


def test_several_tasks_of_all_kinds(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        ",grade,ill,x,y,found",
        lambda n: f",{n % 3 * 4},{n % 2},{n % 2},{'yes' if n % 5 else 'no'}," + "b|a" * (n % 2),
    )
    written = convert(
        path,
        CsvTask("grade", "ordinal", "grade", {0: "none", 4: "some", 8: "much"}),
        CsvTask("ill", "binary", "ill", ["healthy", "ill"]),
        CsvTask("marks", "multilabel", ["x", "y"]),
        CsvTask("found", "multilabel", "found"),
    )
    assert written.labels("grade")[:3] == [0, 4, 8]
    assert written.names("ill") == {0: "healthy", 1: "ill"}
    assert written.names("marks") == {0: "x", 1: "y"}
    assert written.labels("marks")[:2] == [[0, 0], [1, 1]]
    assert written.names("found") == {0: "a", 1: "b"}
    assert written.labels("found")[:2] == [[0, 0], [1, 1]]


def test_subjects_and_splits(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        ",patient,fold",
        lambda n: f",p{n // 2},{('train', 'train', 'train', 'val', 'test')[n // 4]}",
    )
    written = convert(path, subject="patient", split="fold")
    assert written.column("patient_id")[:4] == ["p0", "p0", "p1", "p1"]
    assert split_counts(written.splits()) == {"train": 12, "val": 4, "test": 4}
    assert split_counts(written.splits("original_splits")) == {"train": 0, "val": 0, "test": 0}


def test_original_splits_are_recorded_and_completed(tmp_path: Path) -> None:
    path = table(tmp_path, ",fold", lambda n: f",{'test' if n < 6 else 'train'}")
    written = convert(path, original_split="fold")
    assert written.split("test") == written.split("test", "original_splits") == list(range(6))
    assert written.split("val")


def test_names_that_are_numbers(tmp_path: Path) -> None:
    path = table(tmp_path, ",level", lambda n: f",{('2', '10')[n % 2]}")
    assert convert(path, CsvTask("level", "ordinal", "level", ["2", "10"])).labels("level")[:2] == [
        0,
        1,
    ]


def test_numbers_are_their_own_grades(tmp_path: Path) -> None:
    path = table(tmp_path, ",level", lambda n: f",{('2', '10')[n % 2]}")
    assert convert(path, CsvTask("level", "ordinal", "level")).labels("level")[:2] == [2, 10]


def test_one_column_of_zeros_and_ones_is_one_label(tmp_path: Path) -> None:
    path = table(tmp_path, ",nodule", lambda n: f",{n % 2}")
    for columns in ("nodule", ["nodule"]):
        written = convert(path, CsvTask("marks", "multilabel", columns), overwrite=True)
        assert written.names("marks") == {0: "nodule"}
        assert written.labels("marks")[:2] == [[0], [1]]
    called = convert(path, CsvTask("marks", "multilabel", "nodule", ["0", "1"]), overwrite=True)
    assert called.labels("marks")[:2] == [[1, 0], [0, 1]]
    with pytest.raises(InputError, match=r"2 labels are given for the columns \['nodule'\]"):
        convert(path, CsvTask("marks", "multilabel", "nodule", ["a", "b"]), overwrite=True)


def test_floats_of_a_column_with_gaps_are_whole_numbers(tmp_path: Path) -> None:
    path = table(tmp_path, ",level", lambda n: f",{n % 12}.0")
    assert convert(path, CsvTask("level", "multiclass", "level")).names("level")[10] == "10"
    named = convert(
        path, CsvTask("level", "multiclass", "level", [f"l{n}" for n in range(12)]), overwrite=True
    )
    assert named.labels("level")[:12] == list(range(12))


@pytest.mark.parametrize("cell", ["['a', 'b']", "0 1 1", "1,0", "{a}"])
def test_lists_in_cells_are_refused(tmp_path: Path, cell: str) -> None:
    path = table(tmp_path, ",found", lambda n: f',"{cell}"')
    with pytest.raises(LabelError, match=r"line 2: .* looks like a list.*--separator"):
        convert(path, CsvTask("found", "multilabel", "found"))


def test_delimiters_and_separators(tmp_path: Path) -> None:
    path = table(tmp_path)
    path.write_text(path.read_text().replace(",", "\t"), encoding="utf-8")
    assert convert(path, delimiter="\\t").labels("kind") == [0, 1] * 10
    for wrong in ("", ";;", "\n", '"'):
        with pytest.raises(InputError, match="give one character"):
            convert(path, delimiter=wrong, overwrite=True)
    with pytest.raises(InputError, match="separator of 't' is empty"):
        CsvTask("t", "multilabel", "found", separator="")


def test_rows_without_a_subject_or_a_label(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        ",patient,level",
        lambda n: f",{('', 'NaN', 'p')[n % 3]},{'nan' if n == 3 else n % 2}",
    )
    subjects = convert(path, subject="patient").column("patient_id")
    assert (subjects.count(""), subjects.count("p")) == (14, 6)
    with pytest.raises(LabelError, match=r"line 5: 'nan' in 'level' is no label"):
        convert(path, CsvTask("level", "multiclass", "level"), overwrite=True)
    with pytest.raises(LabelError, match=r"line 3: the label of 'kind' is 'star'"):
        convert(path, CsvTask("kind", "multiclass", "kind", ["disc"]), overwrite=True)


def test_rows_without_a_label_are_listed_or_left_out(tmp_path: Path) -> None:
    path = table(tmp_path, ",level", lambda n: f",{'' if n in (3, 7, 9) else n % 2}.0")
    path.write_text(path.read_text().replace(",.0", ","), encoding="utf-8")
    task = CsvTask("level", "ordinal", "level", ["low", "high"])
    with pytest.raises(LabelError, match=r"line 5: '' .*others: lines 9, 11.*--missing drop"):
        convert(path, task)
    written = convert(path, task, missing="drop")
    assert written.numbers() == [n for n in range(20) if n not in (3, 7, 9)]
    assert written.names("level") == {0: "low", 1: "high"}
    table_text = (tmp_path / "out" / ABOUT.id / "left_out.csv").read_text()
    assert "images/7.png,without a label,no label in 'level'" in table_text
    nothing = table(tmp_path / "empty", ",level", lambda n: ",")
    with pytest.raises(InputError, match="no row has any label of 'level'; correct its"):
        convert(nothing, CsvTask("level", "multiclass", "level"), missing="drop")


def test_all_labels_that_are_unknown_are_listed(tmp_path: Path) -> None:
    path = table(tmp_path, ",level", lambda n: f",{'x?' if n in (4, 6) else 'low'}")
    with pytest.raises(LabelError, match=r"line 6: the label of 'level' is 'x\?'.*\n.*line 8"):
        convert(path, CsvTask("level", "multiclass", "level", ["low", "high"]))


def test_splits_that_are_given_are_final(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        ",fold,part",
        lambda n: f",{'test' if n < 6 else 'train'},{'' if n == 2 else 'train'}",
    )
    written = convert(path, split="fold")
    assert split_counts(written.splits()) == {"train": 14, "val": 0, "test": 6}
    with pytest.raises(
        InputError,
        match=r"1 rows of table table.csv \(.*\) have no split, the first 'images/2.png'",
    ):
        convert(path, split="part", overwrite=True)


def test_a_byte_order_mark_and_another_delimiter(tmp_path: Path) -> None:
    path = table(tmp_path)
    path.write_text("\ufeff" + path.read_text().replace(",", ";"), encoding="utf-8")
    assert convert(path, delimiter=";").labels("kind") == [0, 1] * 10


@pytest.mark.parametrize(
    "name",
    ["../secret.png", "images/../../secret.png", "/etc/passwd", "..\\secret.png", "a\0b", " "],
)
def test_paths_that_leave_the_root_are_refused(tmp_path: Path, name: str) -> None:
    save(picture(1), tmp_path / "secret.png")
    path = table(tmp_path / "in")
    path.write_text(path.read_text().replace("images/7.png", name), encoding="utf-8")
    with pytest.raises(InputError, match=r"line 9: .* is not a path below"):
        convert(path)


def test_links_that_leave_the_root_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path / "in")
    (tmp_path / "in" / "images" / "7.png").unlink()
    (tmp_path / "in" / "images" / "7.png").symlink_to(save(picture(1), tmp_path / "secret.png"))
    with pytest.raises(InputError, match=r"line 9: .* is not a path below"):
        convert(path)


def test_another_root(tmp_path: Path) -> None:
    path = table(tmp_path / "in")
    moved = tmp_path / "table.csv"
    moved.write_text(path.read_text())
    assert convert(moved, root=tmp_path / "in").numbers() == list(range(20))


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (CsvTask("t", "multiclass", "kinds"), "no column 'kinds'; did you mean 'kind'"),
        (CsvTask("t", "multiclass", ["kind", "path"]), "has one column"),
        (CsvTask("t", "multiclass", "kind", ["disc", "moon"]), "'star'"),
        (
            CsvTask("t", "multilabel", ["kind", "path"]),
            "line 2: 'disc' in 'kind' is neither 1 nor 0",
        ),
        (
            CsvTask("t", "multilabel", "kind", ["disc"]),
            "line 3: 'star' in 'kind' is none of the labels",
        ),
        (CsvTask("t", "multiclass", "blank"), "no row has any label of 't'; correct"),
    ],
)
def test_wrong_columns_and_cells(tmp_path: Path, task: CsvTask, said: str) -> None:
    with pytest.raises((InputError, LabelError), match=said):
        convert(table(tmp_path, ",blank", lambda n: ","), task)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "csv is empty; give the names of its columns"),
        (b"\xef\xbb\xbf", "csv is empty; give the names of its columns"),
        (b"\na,b\n", "csv has an empty first line; give the names"),
        (b"path,path\na,b\n", "first line"),
        (b"path,kind\n", "no rows"),
        (b"path,kind\na\n", "line 2: 1 fields"),
        (b'path,kind\n"a,b\n', "line 2"),
        (b"path,kind\n\xff\xfe,b\n", "UTF-8"),
        (b"path,kind\n" + b"a" * 200_000 + b",b\n", "field larger"),
    ],
)
def test_wrong_tables(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        convert(path)


def test_missing_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        convert(tmp_path / "none.csv")


@pytest.mark.parametrize("cell", ["1.5", ".5", "1e3", "-0.25"])
def test_a_fraction_among_whole_numbers_is_refused_with_its_line(tmp_path: Path, cell: str) -> None:
    path = table(tmp_path, ",grade", lambda n: f",{cell if n == 7 else n % 3}")
    for target in ("multiclass", "ordinal"):
        with pytest.raises(
            LabelError, match=r"line 9: the label of 'grade' is '.*not whole \(1 of"
        ):
            convert(path, CsvTask("grade", target, "grade"))
    written = convert(path, CsvTask("grade", "multiclass", "grade", ["0", "1", "2", cell]))
    assert written.labels("grade")[7] == 3


def test_words_for_one_split_are_said(tmp_path: Path) -> None:
    path = table(tmp_path, ",fold", lambda n: f",{('train', 'Training', 'test', 'val')[n % 4]}")
    converted = csv_images(path, tmp_path / "out", ABOUT, [KIND], split="fold", options=SMALL)
    assert converted.notes == (
        "note: column 'fold': Training, train are all read as the split train",
    )
