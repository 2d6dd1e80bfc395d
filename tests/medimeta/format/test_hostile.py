"""Nothing outside the folder is touched, and no description costs unbounded time or memory."""

from __future__ import annotations

import os
import shutil
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medimeta_adapter import MedIMeta, MedIMetaDataset, read_info
from medimeta_adapter.format.annotations import read_annotations
from medimeta_adapter.format.splits import read_split
from tests.medimeta.make import BINARY, edit_info, pixels, write_dataset
from torchcross.errors import DatasetFileError, ReadError, TorchcrossError

MEGABYTE = 1 << 20


@contextmanager
def at_most(megabytes: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * MEGABYTE, f"{peak / MEGABYTE:.1f} MB"


def described(folder: Path, text: str) -> Path:
    path = folder / "info.yaml"
    path.write_text(text)
    return path


BOMB = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 20)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"line 5: more than 50,000 values"),
        ("a: &a [1, *a]\n", "line 1: the alias .a is inside what it names, a cycle"),
        ("a: &a {b: {c: *a}}\n", "line 1: the alias .a is inside what it names, a cycle"),
        ("[" * 100_000, "line 1: nested deeper than 24 levels"),
        ("{a: " * 100_000, "line 1: nested deeper than 24 levels"),
        ("- " * 100_000, "line 1: nested deeper than 24 levels|not valid YAML"),
        ("a: [" + "1," * 400_000 + "]\n", "line 1: more than 50,000 values"),
        (f"a: 0x{'f' * 100_000}\n", "line 1: '0xfff.*sensible length"),
        (f"a: {'9' * 100_000}\n", "line 1: '999.*sensible length"),
        ("a: " + ":".join(["59"] * 9000) + "\n", "line 1: '59:59.*sensible length"),
        ("a: !!binary aGVsbG8=\n", "line 1: the tag .*binary"),
        ("a: !!set {b}\n", "line 1: the tag .*set"),
        ("a: !!int x\n", "line 1: 'x' is no int"),
        ('a: !!int ""\n', "line 1: '' is no int"),
        ("a: !!float .\n", "line 1: '.' is no float"),
        ("a: !!bool maybe\n", "line 1: 'maybe' is no bool"),
        ('a: "\\ud800"\n', "line 1"),
    ],
    ids=range(17),
)
def test_descriptions_that_explode(tmp_path: Path, text: str, message: str) -> None:
    path = described(tmp_path, text)
    with at_most(60), pytest.raises(DatasetFileError, match=message):
        read_info(path)


CLAIMS = (10**12, 2 * 10**8)
READERS: dict[str, Callable[[MedIMetaDataset], Any]] = {
    "all": lambda dataset: dataset.split(),
    "train": lambda dataset: dataset.split("train"),
    "original": lambda dataset: dataset.split("train", original=True),
    "annotations": lambda dataset: dataset.annotations(),
    "subjects": lambda dataset: dataset.subjects(),
    "labels": lambda dataset: dataset.labels(),
    "pixels": lambda dataset: dataset.pixels,
    "images": lambda dataset: dataset.images([0]),
    "source": lambda dataset: dataset.source(split="train"),
}


@pytest.mark.parametrize("tiffs", [False, True], ids=["hdf5", "tiff"])
@pytest.mark.parametrize("claimed", CLAIMS)
@pytest.mark.parametrize("reader", READERS)
def test_a_number_of_samples_that_no_file_can_hold(
    tmp_path: Path, reader: str, claimed: int, tiffs: bool
) -> None:
    folder = write_dataset(
        tmp_path, patients=range(12), total_num_samples=claimed, hdf5=not tiffs, tiffs=tiffs
    )
    dataset = MedIMetaDataset(folder)
    assert len(dataset) == claimed, "info.yaml alone opens, and says what it says"
    with at_most(4), pytest.raises(DatasetFileError, match="total_num_samples") as caught:
        READERS[reader](dataset)
    assert str(folder) in str(caught.value)


def test_what_is_claimed_is_named(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, total_num_samples=10**12)
    size = (folder / "task_labels" / "disease class.npy").stat().st_size
    said = (
        r"info\.yaml, total_num_samples: 1,000,000,000,000 samples, and the largest label file has"
        rf" {size} bytes"
    )
    with pytest.raises(DatasetFileError, match=said):
        MedIMetaDataset(folder).split()
    shutil.rmtree(folder / "task_labels")
    with pytest.raises(DatasetFileError, match="the largest label file has 0 bytes"):
        MedIMetaDataset(folder).split()
    edit_info(folder, total_num_samples=1 << 20)
    assert len(MedIMetaDataset(folder).split()) == 1 << 20, (
        "so many are believed without a look at the labels"
    )


def test_more_samples_than_that_are_believed_where_labels_bear_them_out(tmp_path: Path) -> None:
    count = (1 << 20) + 1
    folder = write_dataset(tmp_path, total_num_samples=count)
    np.save(folder / "task_labels" / "malignancy.npy", np.zeros(count, dtype=np.int8))
    assert len(MedIMetaDataset(folder).split()) == count


@pytest.mark.parametrize("claimed", CLAIMS)
def test_readers_take_memory_by_the_file_and_not_by_the_claim(tmp_path: Path, claimed: int) -> None:
    folder = write_dataset(tmp_path, patients=range(12))
    with at_most(4):
        np.testing.assert_array_equal(
            read_split(folder / "splits" / "train.txt", claimed), np.arange(10)
        )
        with pytest.raises(
            DatasetFileError, match=f"no row for {claimed - 12} of the .* is images/000012.tiff"
        ):
            read_annotations(folder / "annotations.csv", claimed)


def test_a_harmless_alias_is_followed(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path)
    text = (
        (folder / "info.yaml").read_text().replace("domain_overlaps: []", "domain_overlaps: &x [a]")
    )
    described(folder, text.replace("subject_overlaps: []", "subject_overlaps: *x"))
    info = MedIMetaDataset(folder).info
    assert info.domain_overlaps == info.subject_overlaps == ("a",)


@pytest.mark.parametrize(
    "name", ["images.hdf5", "info.yaml", "task_labels", "splits", "annotations.csv", "images"]
)
def test_links_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    patients = [str(row) for row in range(12)]
    folder = write_dataset(root, patients=patients, hdf5=name != "images", tiffs=True)
    write_dataset(elsewhere, patients=patients, tiffs=True)
    (folder / name).rename(folder / f"{name}.old")
    (folder / name).symlink_to(elsewhere / "toy" / name)
    with pytest.raises(DatasetFileError, match=f"{name}.* leads out of"):
        MedIMeta(root).source("toy", split="train").read([0])
    trusting = MedIMeta(root, follow_links=True).source("toy", split="train")
    np.testing.assert_array_equal(trusting.read([0])[0, 0].numpy(), pixels(12, 1)[0])
    (folder / name).unlink()
    (folder / name).symlink_to(folder / f"{name}.old")
    assert len(MedIMeta(root).source("toy", split="train")) == 10, "a link inside is nobody's harm"


def test_a_dataset_that_is_a_link_out_is_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path / "elsewhere")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "toy").symlink_to(tmp_path / "elsewhere" / "toy")
    with pytest.raises(DatasetFileError, match="leads out of"):
        MedIMeta(tmp_path / "root")
    assert list(MedIMeta(tmp_path / "root", follow_links=True)) == ["toy"]
    assert len(MedIMetaDataset(tmp_path / "root" / "toy")) == 12, (
        "named by the user, it is the folder"
    )


def test_a_single_tiff_that_is_a_link_out(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "root", hdf5=False, tiffs=True)
    other = write_dataset(tmp_path / "elsewhere", hdf5=False, tiffs=True)
    path = folder / "images" / "000003.tiff"
    path.unlink()
    path.symlink_to(other / "images" / "000003.tiff")
    with pytest.raises(DatasetFileError, match=r"000003\.tiff leads out of"):
        MedIMetaDataset(folder).images([3])


DAMAGE = {
    "the directory points beyond the file": (4, b"\xff\xff"),
    "the directory has more entries than the file": (8, b"\xff\x00"),
    "a tag is longer than the file": (14, b"\xff\xff"),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("policy", ["error", "always"])
def test_what_a_decoder_warns_of_is_an_error(tmp_path: Path, damage: str, policy: Any) -> None:
    folder = write_dataset(tmp_path, hdf5=False, tiffs=True)
    dataset = MedIMetaDataset(folder)
    path = folder / "images" / "000004.tiff"
    place, noise = DAMAGE[damage]
    raw = path.read_bytes()
    path.write_bytes(raw[:place] + noise + raw[place + len(noise) :])
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter(policy)
        before = list(warnings.filters)
        with pytest.raises(DatasetFileError, match=r"000004\.tiff: not a readable TIFF"):
            dataset.images([4])
        assert warnings.filters == before
    assert not leaked
    assert dataset.images([3]).shape == (1, 1, 6, 5)


def test_threads_that_read_tiffs_leave_the_filters_alone(tmp_path: Path) -> None:
    dataset = MedIMetaDataset(write_dataset(tmp_path, hdf5=False, tiffs=True))
    stored, before = dataset.pixels, list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: stored.rows(np.arange(12)), range(40)))
    assert warnings.filters == before


@pytest.mark.parametrize(
    "name", ["info.yaml", "images.hdf5", "splits/train.txt", "task_labels/malignancy.npy"]
)
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    folder = write_dataset(tmp_path)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(DatasetFileError, match="no regular file"):
        MedIMetaDataset(folder).source("malignancy", split="train")


def test_names_never_become_paths(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path)
    for field in ("id", "task_name"):
        for name in ("../toy", "a/b", "a\\b", "..", ".", "nul\0", "", " ", "x" * 300):
            tasks = [
                {
                    "task_name": name,
                    "task_target": "BINARY_CLASSIFICATION",
                    "labels": {0: "a", 1: "b"},
                }
            ]
            edit_info(folder, **({"id": name} if field == "id" else {"tasks": tasks}))
            with pytest.raises(DatasetFileError, match=field):
                MedIMeta(tmp_path)
            edit_info(folder, id="toy")


def test_many_columns_take_no_longer_than_they_are_long(tmp_path: Path) -> None:
    header = ",".join(["filepath", *(f"column {number}" for number in range(20_000))])
    line = ",".join(["images/000000.tiff", *["1"] * 20_000])
    (tmp_path / "annotations.csv").write_text(f"{header}\n{line}\n")
    start = time.process_time()
    columns = read_annotations(tmp_path / "annotations.csv", 1)
    assert len(columns) == 20_001
    assert time.process_time() - start < 3


def test_directives_are_counted_before_they_are_compared(tmp_path: Path) -> None:
    lines = "".join(f"%TAG !t{number}! tag:a,2000:\n" for number in range(40_000))
    (tmp_path / "info.yaml").write_text(f"{lines}---\nid: toy\n")
    start = time.process_time()
    with pytest.raises(DatasetFileError, match="40,000 lines are directives"):
        read_info(tmp_path / "info.yaml")
    assert time.process_time() - start < 3
    (tmp_path / "info.yaml").write_text("%YAML 1.1\n---\nid: toy\n")
    with pytest.raises(DatasetFileError, match="name: is missing"):
        read_info(tmp_path / "info.yaml")


@pytest.mark.slow
def test_many_tasks_take_no_longer_than_they_are_long(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path)
    tasks = [{**BINARY, "task_name": f"task {number}"} for number in range(1500)]
    edit_info(folder, tasks=tasks)
    start = time.process_time()
    assert len(read_info(folder / "info.yaml").tasks) == 1500
    assert time.process_time() - start < 10


def test_a_small_tiff_holds_no_huge_image(tmp_path: Path) -> None:
    folder = write_dataset(tmp_path, hdf5=False, tiffs=True, channels=3)
    edit_info(folder, input_size=[3, 65_536, 65_536])
    dataset = MedIMetaDataset(folder)
    for read in (lambda: dataset.images([0]), lambda: dataset.source().read([0])):
        with pytest.raises(TorchcrossError, match=r"cannot hold the 12,884,901,888"):
            read()


def test_images_that_do_not_fit_in_memory_are_an_error_of_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = MedIMetaDataset(write_dataset(tmp_path))

    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(dataset.pixels, "rows", full)
    with pytest.raises(ReadError, match="do not fit in memory"):
        dataset.images([0, 1])
