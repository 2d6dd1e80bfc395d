"""Cells that hardly are classes: they count as unknown, are refused, or are named in a note."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medimeta_adapter.convert import ArrayTask, CsvTask, arrays, csv_images
from medimeta_adapter.convert.tasks import encode_task
from tests.medimeta.convert_cases import ABOUT, SMALL, Written, picture, save
from torchcross.errors import LabelError

MARKERS = ["n/a", "None", "NaN", "NA", "null", " ", "none"]


def convert(folder: Path, cells: list[str], target: str = "multiclass", **more: Any) -> Any:
    for n in range(len(cells)):
        save(picture(n), folder / f"{n}.png")
    lines = [f"{n}.png,{cell}" for n, cell in enumerate(cells)]
    path = folder / "table.csv"
    path.write_text("\n".join(["path,dx", *lines]) + "\n", encoding="utf-8")
    tasks = [CsvTask("dx", target, "dx", more.pop("labels", None))]
    return csv_images(path, folder / "out", ABOUT, tasks, options=SMALL, **more)


def test_every_marker_is_an_unknown_label(tmp_path: Path) -> None:
    kept = convert(tmp_path / "kept", [*MARKERS, *"abab"], missing="keep")
    assert Written(kept).names("dx") == {0: "a", 1: "b"}
    assert Written(kept).labels("dx") == [-1] * 7 + [0, 1, 0, 1]
    assert len(kept.unlabelled) == 7
    dropped = convert(tmp_path / "dropped", [*MARKERS, *"abab"], missing="drop")
    assert Written(dropped).numbers() == [7, 8, 9, 10]
    with pytest.raises(LabelError, match=r"line 2: 'n/a' in 'dx' is no label.*6 others.*labels="):
        convert(tmp_path / "refused", [*MARKERS, *"abab"])


def test_in_names_and_flags_markers_are_unknown_too(tmp_path: Path) -> None:
    names = convert(
        tmp_path / "names", ["a|b", "n/a", "", "NULL", "a"], "multilabel", missing="keep"
    )
    assert Written(names).labels("dx") == [[1, 1], [-1, -1], [0, 0], [-1, -1], [1, 0]]
    flags = convert(tmp_path / "flags", ["0", "1", "None", "1", "0"], "multilabel", missing="keep")
    assert Written(flags).labels("dx") == [[0], [1], [-1], [1], [0]]
    with pytest.raises(LabelError, match=r"line 3: a label of 'dx' is 'None', which stands for an"):
        convert(tmp_path / "part", ["a", "a|None", "b"], "multilabel")


def test_a_marker_that_is_declared_is_a_class(tmp_path: Path) -> None:
    grades = convert(
        tmp_path, ["none", "mild", "n/a", "none", "mild"], labels=["none", "mild"], missing="keep"
    )
    assert Written(grades).labels("dx") == [0, 1, -1, 0, 1]


def test_classes_with_a_name_like_an_unknown_label_are_named(tmp_path: Path) -> None:
    cells = ["?", "a", "unknown", "b", "a", "b"]
    first, second = convert(tmp_path / "noted", cells).notes
    assert first.startswith("note: the class '?' of task 'dx' looks like an unknown label; if it")
    assert "'unknown'" in second
    assert convert(tmp_path / "declared", cells, labels=["?", "a", "unknown", "b"]).notes == ()


@pytest.mark.parametrize("target", ["binary", "multiclass", "ordinal", "multilabel"])
def test_a_word_among_whole_numbers_is_refused_with_its_line(tmp_path: Path, target: str) -> None:
    cells = ["0", "1", "maybe", "1", "x", "0", "2.0"]
    with pytest.raises(
        LabelError,
        match=r"line 4: .* of 'dx' is 'maybe', and 5 of 7 labels are whole numbers: correct it; if"
        r" the label is unknown, .*missing='keep'.*all names: labels=.*\n.*line 6: .* is 'x'",
    ):
        convert(tmp_path, cells, target)


def test_a_word_is_to_blame_where_names_belong_to_numbers(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"line 4: .*'maybe', and 4 of 5 labels are whole"):
        convert(tmp_path, ["0", "1", "maybe", "1", "0"], labels=["no", "yes"])


def test_numbers_with_words_that_are_all_names_are_classes(tmp_path: Path) -> None:
    declared = convert(tmp_path / "declared", ["1", "2", "3a", "1"], labels=["1", "2", "3a"])
    assert Written(declared).labels("dx") == [0, 1, 2, 0]
    words = convert(tmp_path / "words", ["a", "2", "b", "a"])
    assert Written(words).names("dx") == {0: "2", 1: "a", 2: "b"}


@pytest.mark.parametrize("target", ["binary", "multiclass", "ordinal", "multilabel"])
@pytest.mark.parametrize("labels", [None, ["no", "yes"]])
def test_a_negative_number_is_refused_unless_it_has_a_name(
    tmp_path: Path, target: str, labels: Any
) -> None:
    said = r"line 2: .* of 'dx' is '?-1'?: a negative number is often an unknown label: "
    said += r".*missing='keep' or 'drop'.*\(--labels.*\)\n.*line 5"
    if target == "multilabel":
        said, labels = (said, None) if labels is None else ("'-1' in 'dx' is none of", labels)
    with pytest.raises(LabelError, match=said):
        convert(tmp_path, ["-1", "0", "1", "-1", "1"], target, labels=labels)


def test_a_negative_number_with_a_name_is_a_class(tmp_path: Path) -> None:
    named = convert(
        tmp_path, ["-1", "0", "1", "-1"], "ordinal", labels={0: "same", -1: "less", 1: "more"}
    )
    assert Written(named).labels("dx") == [-1, 0, 1, -1]


def test_a_negative_flag_is_refused_with_a_way_out(tmp_path: Path) -> None:
    save(picture(0), tmp_path / "0.png")
    path = tmp_path / "table.csv"
    path.write_text("path,x,y\n0.png,1,-1\n")
    task = CsvTask("t", "multilabel", ["x", "y"])
    with pytest.raises(LabelError, match=r"'-1' in 'y' is neither 1 nor 0; .*leave its cell empty"):
        csv_images(path, tmp_path / "out", ABOUT, [task], options=SMALL)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([0, 1, -1]), "label 2 of 'dx' is -1: .* leave such images out; if it is a class"),
        (["a", "n/a", "b"], "label 1 of 'dx' is 'n/a', which stands for an unknown label: leave"),
        (["0", "1", "maybe"], "label 2 of 'dx' is 'maybe', and 2 of 3 labels are whole numbers"),
    ],
)
def test_arrays_have_the_same_rules(tmp_path: Path, values: Any, said: str) -> None:
    images = np.zeros((3, 8, 8), np.uint8)
    with pytest.raises(LabelError, match=said):
        arrays(images, [ArrayTask("dx", "multiclass", values)], tmp_path, ABOUT, options=SMALL)


def test_the_names_of_folders_are_all_names() -> None:
    info, _ = encode_task("dx", "multiclass", ["none", "1", "1"], None, all_are_names=True)
    assert info.labels == {0: "1", 1: "none"}
