"""Labels are read as integers, however they are stored; what is no label is refused."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medimeta_adapter import TaskInfo
from medimeta_adapter.format.labels import read_labels
from torchcross.errors import DatasetFileError

BINARY = TaskInfo("malignancy", "BINARY_CLASSIFICATION", {0: "no", 1: "yes"})  # type: ignore[arg-type]
GRADES = TaskInfo("Clarity", "ORDINAL_REGRESSION", {1: "a", 4: "b", 10: "c"})  # type: ignore[arg-type]
LABELS = TaskInfo("signs", "MULTILABEL_CLASSIFICATION", {0: "a", 1: "b"})  # type: ignore[arg-type]


def saved(folder: Path, array: Any, **options: Any) -> Path:
    path = folder / "task.npy"
    np.save(path, array, **options)
    return path


@pytest.mark.parametrize(
    "dtype",
    ["int64", "int32", "int8", "uint8", "uint64", "float32", "float64", "float16", ">i4", "bool"],
)
def test_integers_of_any_make(tmp_path: Path, dtype: str) -> None:
    found = read_labels(saved(tmp_path, np.array([0, 1, 1, 0]).astype(dtype)), BINARY, 4)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, [0, 1, 1, 0])
    many = np.array([[0, 1], [1, 1], [0, 0]]).astype(dtype)
    np.testing.assert_array_equal(read_labels(saved(tmp_path, many), LABELS, 3), many.astype(int))


def test_grades_are_values_not_ranks(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_labels(saved(tmp_path, [10, 1, 4]), GRADES, 3), [10, 1, 4])


def test_shapes_that_mean_the_same(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read_labels(saved(tmp_path, [[0], [1]]), BINARY, 2), [0, 1])
    fortran = np.asfortranarray([[0, 1], [1, 1], [0, 0]])
    np.testing.assert_array_equal(read_labels(saved(tmp_path, fortran), LABELS, 3), fortran)


@pytest.mark.parametrize(
    ("array", "task", "message"),
    [
        ([0, 1, 2], BINARY, r"outside the labels of task 'malignancy', one of 0, 1: row 2: 2"),
        ([0, -1, 1], BINARY, "row 1: -1"),
        ([1, 2, 4], GRADES, "one of 1, 4, 10: row 1: 2"),
        ([[0, 1], [0, 2], [1, 1]], LABELS, "0 or 1: row 1, column 1: 2"),
        (
            [0.0, np.nan, 1.0],
            BINARY,
            "no number; an unknown label is the missing_label of its task: row 1: nan",
        ),
        ([0.0, np.inf, 1.0], BINARY, "no number.*row 1: inf"),
        ([0.0, 0.5, 1.0], BINARY, "no integer label: row 1: 0.5"),
        ([0.0, 1e300, 1.0], BINARY, "no integer label: row 1"),
        (np.array([0, 2**63 + 1, 1], dtype=np.uint64), BINARY, "too large a label: row 1"),
        ([9] * 8, BINARY, "shape"),
        (
            [0, 1],
            BINARY,
            r"shape \(2,\); the task 'malignancy' .* of 3 samples .* labels of shape \(3,\)",
        ),
        ([[0, 1, 1]] * 3, LABELS, r"shape \(3, 3\); .*shape \(3, 2\)"),
        ([0, 1, 1], LABELS, r"labels of shape \(3, 2\)"),
        ([[0, 1]] * 3, BINARY, r"labels of shape \(3,\)"),
        (["a", "b", "c"], BINARY, "dtype <U1"),
        ([1j, 0, 1], BINARY, "dtype complex128"),
        (np.zeros(3, dtype=[("a", int)]), BINARY, "dtype"),
        (np.zeros(3, dtype="M8[s]"), BINARY, "dtype"),
    ],
)
def test_what_is_no_label_is_named(
    tmp_path: Path, array: Any, task: TaskInfo, message: str
) -> None:
    path = saved(tmp_path, array)
    with pytest.raises(DatasetFileError, match=message) as caught:
        read_labels(path, task, 3)
    assert str(caught.value).startswith(f"{path}: ")


def test_many_wrong_rows_are_counted(tmp_path: Path) -> None:
    with pytest.raises(
        DatasetFileError, match="row 0: 7, row 1: 7, row 2: 7, row 3: 7, row 4: 7 and 95 more"
    ):
        read_labels(saved(tmp_path, [7] * 100), BINARY, 100)


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    array = np.array([Bomb(mark), 1, 2], dtype=object)
    with pytest.raises(DatasetFileError, match=r"a pickle\), which is never loaded"):
        read_labels(saved(tmp_path, array, allow_pickle=True), BINARY, 3)
    (tmp_path / "task.npy").write_bytes(pickle.dumps(Bomb(mark)))
    with pytest.raises(DatasetFileError, match=r"not an \.npy file"):
        read_labels(tmp_path / "task.npy", BINARY, 3)
    assert not mark.exists()


def header(shape: str, descr: str = "'<i8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an .npy file"),
        (b"\x93NUMPY", "header of version"),
        (b"\x93NUMPY\x01\x00", "broken"),
        (b"\x93NUMPY\x09\x00\x10\x00", "header of version"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(100), "2,147,483,647 bytes"),
        (header("(1250000000,)"), r"shape \(1250000000,\)"),
        (header("(3,)"), "claims 24 bytes of int64, the file holds 0"),
        (header("(3,)") + bytes(23), "claims 24 bytes of int64, the file holds 23"),
        (header("(3,)") + bytes(25), "claims 24 bytes of int64, the file holds 25"),
        (header("(3,)", "'<i8', 'x': 1"), "broken"),
        (header("(3,)", "'|V1000000000'"), "dtype"),
        (header("(3,)", "'(1000,1000)<i8'"), "dtype|broken"),
        (header("(-3,)"), "shape"),
        (header("3"), "broken"),
        (header("(3.0,)"), "broken|shape"),
        (header("(" * 300), "broken"),
        (header("(True, 3)"), "shape|broken"),
        (header("__import__('os').mkdir('x')"), "broken"),
    ],
)
def test_headers_that_lie(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "task.npy"
    path.write_bytes(content)
    with pytest.raises(DatasetFileError, match=message):
        read_labels(path, BINARY, 3)


def test_a_later_version_is_read(tmp_path: Path) -> None:
    for version in ((1, 0), (2, 0), (3, 0)):
        file = io.BytesIO()
        np.lib.format.write_array(file, np.array([0, 1, 1]), version=version, allow_pickle=False)
        (tmp_path / "task.npy").write_bytes(file.getvalue())
        np.testing.assert_array_equal(read_labels(tmp_path / "task.npy", BINARY, 3), [0, 1, 1])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetFileError, match=r"none\.npy: expected an array of labels"):
        read_labels(tmp_path / "none.npy", BINARY, 3)
