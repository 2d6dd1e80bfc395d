"""MedMNIST files of all kinds, and files that are not what they say."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medimeta_adapter.convert import About, Options, medmnist
from tests.medimeta.convert_cases import ABOUT, SMALL, Written, split_counts
from tests.medimeta.fetch_cases import zip_of_a_later_version
from torchcross.errors import DatasetFileError, InputError, LabelError, WriteError

COUNTS = {"train": 12, "val": 4, "test": 6}
MULTI = {"kind": "multi-class"}


def npz(
    path: Path,
    shape: tuple[int, ...] = (28, 28),
    labels: Any = lambda count: np.arange(count)[:, None] % 2,
) -> Path:
    held: dict[str, Any] = {}
    first = 0
    for split, count in COUNTS.items():
        numbers = np.arange(first, first + count, dtype=np.uint8).reshape(count, *[1] * len(shape))
        held[f"{split}_images"] = np.broadcast_to(numbers, (count, *shape))
        held[f"{split}_labels"] = labels(count).astype(np.uint8)
        first += count
    np.savez_compressed(path, **held)
    return path


def convert(path: Path, *, options: Options | None = None, **more: Any) -> Written:
    return Written(
        medmnist(
            path, path.parent / "out", ABOUT, options=options, **({"kind": "binary-class"} | more)
        )
    )


@pytest.mark.parametrize("size", [28, 64, 128, 224])
@pytest.mark.parametrize("channels", [1, 3])
def test_all_sizes_grey_and_colour(tmp_path: Path, size: int, channels: int) -> None:
    shape = (size, size) if channels == 1 else (size, size, 3)
    written = convert(npz(tmp_path / "a.npz", shape), options=Options(size=size, tiffs=False))
    assert written.info["input_size"] == [channels, size, size]
    assert written.numbers() == list(range(22))


def test_the_size_of_the_file_is_kept_where_none_is_asked_for(tmp_path: Path) -> None:
    assert convert(npz(tmp_path / "a.npz")).info["input_size"] == [1, 28, 28]
    assert (tmp_path / "out" / "shapes" / "images" / "000021.tiff").is_file()


def test_splits_and_where_rows_come_from(tmp_path: Path) -> None:
    written = convert(npz(tmp_path / "a.npz"), options=SMALL)
    assert split_counts(written.splits()) == COUNTS
    assert written.splits() == written.splits("original_splits")
    assert written.column("original_filepath")[12] == "val[0]"


@pytest.mark.parametrize(
    ("kind", "labels", "target"),
    [
        ("multi-class", lambda count: np.arange(count)[:, None] % 3, "MULTICLASS_CLASSIFICATION"),
        ("binary-class", lambda count: np.arange(count)[:, None] % 2, "BINARY_CLASSIFICATION"),
        (
            "multi-label, binary-class",
            lambda count: np.arange(count * 4).reshape(count, 4) % 3 == 0,
            "MULTILABEL_CLASSIFICATION",
        ),
        ("ordinal-regression", lambda count: np.arange(count)[:, None] % 4, "ORDINAL_REGRESSION"),
    ],
)
def test_the_four_kinds_of_task(tmp_path: Path, kind: str, labels: Any, target: str) -> None:
    written = convert(npz(tmp_path / "a.npz", labels=labels), kind=kind, options=SMALL)
    assert written.target("class") == target
    assert written.labels("class")[:12] == np.squeeze(labels(12)).astype(int).tolist()


def test_label_names(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz")
    named = convert(path, labels=["well", "ill"], options=SMALL)
    assert named.names("class") == {0: "well", 1: "ill"}
    other = Written(
        medmnist(path, tmp_path, About(id="b", domain="X"), kind="binary-class", options=SMALL)
    )
    assert other.names("class") == {0: "0", 1: "1"}
    with pytest.raises(LabelError, match="is 1; the labels are 0"):
        convert(path, labels=["well"], task="other", options=replace(SMALL, overwrite=True))


def test_volumes_are_refused_or_sliced(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", (28, 28, 28))
    with pytest.raises(InputError, match="slices=0, 1 or 2"):
        convert(path)
    assert convert(path, slices=1).info["input_size"] == [1, 28, 28]


def test_the_slice_is_the_middle_one(tmp_path: Path) -> None:
    held = {f"{split}_labels": np.arange(count)[:, None] % 2 for split, count in COUNTS.items()}
    depth = np.arange(28, dtype=np.uint8)[:, None, None]
    held |= {
        f"{split}_images": np.broadcast_to(depth, (count, 28, 28, 28))
        for split, count in COUNTS.items()
    }
    np.savez(tmp_path / "a.npz", **held)
    assert set(convert(tmp_path / "a.npz", slices=0).numbers()) == {14}


def test_rows_that_are_left_out_are_skipped(tmp_path: Path) -> None:
    written = convert(npz(tmp_path / "a.npz"), options=replace(SMALL, limit=3))
    numbers = written.numbers()
    assert len(numbers) == 6
    assert [number % 2 for number in numbers] == written.labels("class")
    assert numbers == sorted(numbers)
    assert numbers[-1] >= 20


def test_wrong_asks(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz")
    with pytest.raises(InputError, match="'multi-class', 'binary-class'"):
        convert(path, kind="multiclass")
    with pytest.raises(InputError, match="slices=0"):
        convert(path, slices=0)


def rewritten(path: Path, name: str, content: bytes) -> Path:
    with zipfile.ZipFile(npz(path)) as file:
        members = {entry: file.read(entry) for entry in file.namelist()}
    with zipfile.ZipFile(path, "w") as file:
        for entry, held in (members | {name: content}).items():
            file.writestr(entry, held)
    return path


def npy(array: Any, **more: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **more)
    return buffer.getvalue()


def claim(shape: str) -> bytes:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}"
    text = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def claimed(text: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


BROKEN = [
    *(b"{'descr': '|u1', 'shape': (20, 28, 28 }", b"((((((((((", b"\xff\xfe"),
    *(b"{'descr': [('a',", b"'''", b"(" * 300),
]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "train_images.npy",
            npy(np.array([{"a": 1}], dtype=object), allow_pickle=True),
            "never unpickled",
        ),
        ("train_images.npy", claim("(10000000, 28, 28)"), "holds 0 bytes"),
        ("train_images.npy", claim("(-1, 28, 28)"), "holds 0 bytes"),
        ("train_images.npy", b"nonsense", "cannot be read"),
        *[("train_images.npy", claimed(text), "cannot be read") for text in BROKEN],
        ("train_images.npy", npy(np.zeros((12, 28, 28), np.float32)), "expected uint8"),
        (
            "train_images.npy",
            npy(np.zeros((12, 28, 29), np.uint8)),
            "the same in train, val and test",
        ),
        (
            "train_images.npy",
            npy(np.asfortranarray(np.zeros((12, 28, 28), np.uint8))),
            "by columns",
        ),
        (
            "train_labels.npy",
            npy(np.zeros((11, 1), np.uint8)),
            "12 images and train_labels.npy 11 labels",
        ),
    ],
)
def test_hostile_and_foreign_members(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    with pytest.raises(DatasetFileError, match=said):
        convert(rewritten(tmp_path / "a.npz", name, content))


def test_a_split_that_is_empty_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COUNTS, "val", 0)
    written = convert(npz(tmp_path / "a.npz"), options=SMALL)
    assert split_counts(written.splits("original_splits")) == {"train": 12, "val": 0, "test": 6}
    assert written.split("val")


def test_another_file_of_the_same_name_does_not_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(npz(tmp_path / "a.npz"), options=SMALL, progress=stop)
    monkeypatch.setattr(np, "broadcast_to", lambda numbers, shape: np.full(shape, 7, np.uint8))
    with pytest.raises(WriteError, match="the checksums of the arrays was '"):
        convert(npz(tmp_path / "a.npz"), options=SMALL)


def test_foreign_files(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(DatasetFileError, match=r"has no train_images.*only x"):
        convert(tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(npz(tmp_path / "c.npz").read_bytes()[:500])
    with pytest.raises(DatasetFileError, match=r"not a complete .npz file"):
        convert(tmp_path / "b.npz")
    with pytest.raises(DatasetFileError, match=r"not a complete .npz file"):
        convert(tmp_path / "none.npz")


def test_a_later_version_of_the_format(tmp_path: Path) -> None:
    later = zip_of_a_later_version(npz(tmp_path / "a.npz"))
    with pytest.raises(DatasetFileError, match=r"not a complete .npz file \(zip file version 9"):
        convert(later)


def test_every_version_of_the_array_format(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz")
    for version in ((2, 0), (3, 0)):
        with np.load(path) as members:
            arrays = dict(members)
        with zipfile.ZipFile(path, "w") as file:
            for name, array in arrays.items():
                with file.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, array, version=version)
        written = convert(path, options=replace(SMALL, overwrite=True))
        assert written.numbers() == list(range(22))


def test_a_member_that_is_damaged_inside(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", (64, 64))
    with zipfile.ZipFile(path) as file:
        entry = file.getinfo("test_images.npy")
        start = entry.header_offset + 30 + len(entry.filename) + 30
    content = bytearray(path.read_bytes())
    content[start : start + 20] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(DatasetFileError, match=r"test_images\.npy cannot be read"):
        convert(path, options=SMALL)
    assert not (tmp_path / "out" / "shapes").exists()


@pytest.mark.long
def test_only_a_few_images_are_in_memory(tmp_path: Path) -> None:
    held = {f"{split}_labels": np.arange(400)[:, None] % 2 for split in COUNTS}
    held |= {f"{split}_images": np.zeros((400, 224, 224, 3), np.uint8) for split in COUNTS}
    np.savez_compressed(tmp_path / "a.npz", **held)
    tracemalloc.start()
    try:
        convert(tmp_path / "a.npz", options=SMALL)
        assert tracemalloc.get_traced_memory()[1] < 60 << 20  # 181 MB of images
    finally:
        tracemalloc.stop()


def test_what_is_read_at_once_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = npz(tmp_path / "a.npz")
    monkeypatch.setattr("medimeta_adapter.convert.npz._LARGEST_READ", 28 * 28 - 1)
    with pytest.raises(DatasetFileError, match=r"train_images.npy has 784 bytes to read at once"):
        convert(path)
    monkeypatch.setattr("medimeta_adapter.convert.npz._LARGEST_READ", 11)
    with pytest.raises(DatasetFileError, match=r"train_labels.npy has 12 bytes"):
        convert(path)
