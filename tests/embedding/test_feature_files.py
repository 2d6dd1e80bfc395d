"""The format of files of features: what is written is read, and nothing else is."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors import safe_open

from tests.examples import max_examples
from torchcross.data import FeatureFile, FeatureRecord
from torchcross.data.sources.feature_files import file_header
from torchcross.data.sources.feature_writing import open_unfinished, publish
from torchcross.errors import DamageError, ReadError

TEXTS = st.text(max_size=20)


def record_of(shape: tuple[int, int, int], block: int, dtype: Any) -> FeatureRecord:
    images, views, width = shape
    digest = hashlib.sha256(b"").hexdigest()
    return FeatureRecord(
        *(images, views, width, dtype, block, digest, digest, digest),
        preprocessing={"mean": [0.5], "std": [0.25], "left_alone": False},
        augmentation=None,
        about={"source": "any"},
    )


def write_file(path: Path, record: FeatureRecord, features: np.ndarray[Any, Any]) -> Path:
    unfinished = path.with_name(path.name + ".unfinished")
    with open_unfinished(unfinished, record) as writer:
        for block in range(record.blocks):
            members = record.images_of(block)
            image_digest = hashlib.sha256(bytes([block % 256])).digest()
            writer.write(block, image_digest, features[members.start : members.stop])
    publish(unfinished, path)
    return path


@st.composite
def contents(draw: st.DrawFn) -> tuple[FeatureRecord, np.ndarray[Any, Any]]:
    shape = draw(st.tuples(st.integers(1, 40), st.integers(1, 3), st.integers(1, 5)))
    dtype = draw(st.sampled_from(["float32", "float16"]))
    record = record_of(shape, draw(st.integers(1, 17)), dtype)
    about = draw(st.dictionaries(TEXTS, TEXTS | st.integers() | st.lists(TEXTS), max_size=3))
    values = arrays.arrays(
        np.dtype(dtype),
        shape,
        elements=st.floats(-1e4, 1e4, width=16 if dtype == "float16" else 32),
        fill=st.just(0.0),
    )
    return replace(record, about=about), draw(values)


@max_examples(60)
@given(contents())
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, content: tuple[FeatureRecord, Any]
) -> None:
    record, features = content
    path = write_file(tmp_path_factory.mktemp("any") / "a.safetensors", record, features)
    file = FeatureFile(path)
    file.check()
    assert file.record == record
    every = np.arange(record.images)
    assert np.array_equal(file.rows(every, views=True), features.astype(np.float32))
    assert np.array_equal(file.rows(every[::-1]), features[::-1, 0].astype(np.float32))
    with safe_open(path, "numpy") as other:
        assert np.array_equal(other.get_tensor("features"), features)
        assert other.get_tensor("digests").shape == (record.blocks, 64)


@pytest.mark.long
@max_examples(150)
@given(contents(), st.data())
def test_a_changed_file_is_an_error_that_names_it_or_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    content: tuple[FeatureRecord, Any],
    data: st.DataObject,
) -> None:
    record, features = content
    path = write_file(tmp_path_factory.mktemp("any") / "a.safetensors", record, features)
    whole = bytearray(path.read_bytes())
    kind = data.draw(st.sampled_from(["bit", "cut", "longer"]))
    if kind == "bit":
        bit = data.draw(st.integers(0, 8 * len(whole) - 1))
        whole[bit // 8] ^= 1 << bit % 8
    elif kind == "cut":
        del whole[data.draw(st.integers(0, len(whole) - 1)) :]
    else:
        whole += data.draw(st.binary(min_size=1, max_size=20))
    path.write_bytes(whole)
    with pytest.raises(ReadError, match=r"a\.safetensors"):
        FeatureFile(path).check()


def test_damage_is_seen_when_its_block_is_read(tmp_path: Path) -> None:
    record = record_of((10, 1, 2), 4, "float32")
    path = write_file(tmp_path / "a.safetensors", record, np.ones((10, 1, 2), np.float32))
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)
    file = FeatureFile(path)
    assert file.rows(np.array([0, 7])).tolist() == [[1, 1], [1, 1]]
    with pytest.raises(DamageError, match="make the features again"):
        file.rows(np.array([9]))


def test_broken_values_of_a_file_name_their_images(tmp_path: Path) -> None:
    features = np.ones((10, 1, 2), np.float32)
    features[6, 0, 1] = np.nan
    path = write_file(tmp_path / "a.safetensors", record_of((10, 1, 2), 4, "float32"), features)
    with pytest.raises(ReadError, match=r"a\.safetensors: .* NaN or infinite .*: 6\."):
        FeatureFile(path).rows(np.array([4]))


def rewritten(record: FeatureRecord, **changes: Any) -> bytes:
    """A header whose record has a hash that fits, and other values."""
    header = file_header(record)
    table = json.loads(header[8:])
    entry = {**record.as_plain(), **changes}
    del entry["sha256"]
    entry["sha256"] = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    table["__metadata__"]["torchcross-features"] = json.dumps(entry, sort_keys=True)
    text = json.dumps(table, separators=(",", ":")).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    "changes",
    [
        {"images": -1},
        {"images": True},
        {"images": 1 << 60},
        {"width": 0},
        {"block": "4"},
        {"dtype": "float64"},
        {"weights": "0"},
        {"preprocessing": []},
        {"version": 2},
        {"version": None},
        {"more": 1},
    ],
    ids=str,
)
def test_a_hostile_record_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(rewritten(record_of((10, 1, 2), 4, "float32"), **changes) + bytes(500))
    with pytest.raises(ReadError, match=r"a\.safetensors is no file of features"):
        FeatureFile(path)


@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 8, b"\xff" * 64, b"\x02" + b"\x00" * 7 + b"{}", b"no such format"]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(ReadError, match=r"a\.safetensors"):
        FeatureFile(path)
    with pytest.raises(ReadError, match="cannot be read"):
        FeatureFile(tmp_path / "nowhere")
