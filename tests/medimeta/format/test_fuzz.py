"""Noise and changed files are read alike or refused with one kind of error, in bounded memory."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from medimeta_adapter import TaskInfo, read_info
from medimeta_adapter.format.annotations import read_annotations
from medimeta_adapter.format.hdf5 import inspect_images
from medimeta_adapter.format.labels import read_labels
from medimeta_adapter.format.splits import read_split
from tests.examples import max_examples
from tests.medimeta.format.test_info import TEXT
from tests.medimeta.make import pixels, write_dataset
from torchcross.errors import DatasetFileError

EXAMPLES = 150
MEGABYTE = 1 << 20
TASK = TaskInfo("signs", "MULTILABEL_CLASSIFICATION", {0: "a", 1: "b"})  # type: ignore[arg-type]
YAML_PIECES = [
    *(
        b"&a ",
        b"*a",
        b"!!python/object/apply:os.system ",
        b"!!int ",
        b"!!timestamp ",
        b"<<: ",
        b"? ",
        b"- ",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b": ",
        b"\n",
        b"\n  ",
        b"'",
        b'"',
        b"|\n",
        b">\n",
        b"---\n",
        b"...\n",
        b"%YAML 1.2\n",
    ),
    *(
        b"\t",
        b"\x00",
        b"\xff",
        b"\\ud800",
        b"0x",
        b"1e400",
        b".nan",
        b"~",
        b"null",
        b"1:30",
        b"9" * 50,
        b"#",
        b"=",
    ),
]
NPY_PIECES = [
    *(
        b"\x93NUMPY\x01\x00",
        b"{",
        b"}",
        b"(",
        b")",
        b"'descr'",
        b"'|O'",
        b"'<f8'",
        b"'<U9'",
        b"True",
        b"-1",
    ),
    *(
        b"'shape': (10**9,)",
        b"[('a', '<i8')]",
        b"\x00",
        b"\xff\xff",
        b",",
        b"\n",
        b"b''",
        b"lambda: 0",
        b"9" * 30,
    ),
]
SPLIT_PIECES = [
    b"images/",
    b"../",
    b"000001",
    b".tiff",
    b"\n",
    b"\r",
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\x85",
    b"\xe2\x80\xa8",
]
CSV_PIECES = [
    b'"',
    b",",
    b"\n",
    b"\r",
    b"\x00",
    b"filepath",
    b"images/000001.tiff",
    b"\xff",
    b"\xef\xbb\xbf",
]


def changed(valid: bytes, pieces: list[bytes]) -> st.SearchStrategy[bytes]:
    """Return noise, or the valid file with some places overwritten, cut out or filled."""
    noise = st.one_of(st.binary(max_size=8), st.sampled_from(pieces))
    edit = st.tuples(st.integers(0, len(valid)), st.integers(0, 40), noise)
    return st.one_of(
        st.binary(max_size=200),
        st.lists(st.sampled_from(pieces), max_size=30).map(b"".join),
        st.lists(edit, min_size=1, max_size=4).map(lambda edits: _edited(valid, edits)),
    )


def _edited(valid: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for start, length, new in edits:
        valid = valid[:start] + new + valid[start + length :]
    return valid


def survives(read: Callable[[Path], Any], path: Path, content: bytes) -> None:
    path.write_bytes(content)
    tracemalloc.start()
    complaint = str(path)
    try:
        read(path)
    except DatasetFileError as error:
        complaint = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert str(path) in complaint
    assert len(complaint) < 5000
    assert peak < 20 * MEGABYTE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def valid_info() -> bytes:
    return TEXT.encode()


def valid_npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([[0, 1], [1, 1], [0, 0]]))
    return file.getvalue()


@pytest.mark.slow
@max_examples(EXAMPLES)
@given(changed(valid_info(), YAML_PIECES))
@example(b"? ? ? ? a")
@example(b"- &a - *a")
@example(b"!!python/object:os.system {}")
@example(b"id: !<tag:yaml.org,2002:int> ''")
def test_any_info(folder: Path, content: bytes) -> None:
    survives(read_info, folder / "info.yaml", content)


@pytest.mark.slow
@max_examples(EXAMPLES)
@given(changed(valid_npy(), NPY_PIECES))
def test_any_npy(folder: Path, content: bytes) -> None:
    survives(lambda path: read_labels(path, TASK, 3), folder / "a.npy", content)


@max_examples(EXAMPLES)
@given(changed(b"images/000001.tiff\nimages/000002.tiff\r\n\n", SPLIT_PIECES))
def test_any_split(folder: Path, content: bytes) -> None:
    survives(lambda path: read_split(path, 3), folder / "a.txt", content)


@pytest.mark.long
@max_examples(EXAMPLES)
@given(changed(b'filepath,a\nimages/000001.tiff,"x, y"\nimages/000000.tiff,\n', CSV_PIECES))
def test_any_annotations(folder: Path, content: bytes) -> None:
    survives(lambda path: read_annotations(path, 2), folder / "a.csv", content)


@max_examples(EXAMPLES // 3)
@given(st.data())
def test_any_hdf5_header(folder: Path, data: st.DataObject) -> None:
    valid = _hdf5(folder)
    edits = st.lists(
        st.tuples(st.integers(8, len(valid)), st.integers(0, 9), st.binary(max_size=9)),
        min_size=1,
        max_size=3,
    )
    survives(inspect_images, folder / "b.hdf5", _edited(valid, data.draw(edits)))


def _hdf5(folder: Path) -> bytes:
    path = folder / "a.hdf5"
    if not path.exists():
        with h5py.File(path, "w") as file:
            file["images"] = pixels(3, 1)
    return path.read_bytes()


def test_the_valid_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(valid_info())
    assert read_info(path).id == "dr_regular"
    path.write_bytes(valid_npy())
    assert read_labels(path, TASK, 3).shape == (3, 2)
    assert inspect_images(write_dataset(tmp_path) / "images.hdf5").shape == (12, 6, 5)
