"""A task as a source: labels and subjects of the rows asked for, in this process and in others."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import torchcross as tx
from medimeta_adapter import MedIMeta, MedIMetaDataset, MedIMetaSource
from tests.medimeta.make import BINARY, LABELS, MULTI, ORDINAL, pixels, write_dataset
from torchcross.errors import InputError, ReadError, SourceError
from torchcross.testing import check_source

STORAGE = {
    "contiguous": {},
    "gzip": {"hdf5_options": {"chunks": True, "compression": "gzip"}},
    "tiff": {"hdf5": False, "tiffs": True},
}


def test_a_task_with_its_domain(tmp_path: Path) -> None:
    write_dataset(tmp_path, "oct", tasks=[MULTI, ORDINAL, LABELS], domain="OCT")
    meta = MedIMeta(tmp_path)
    source = meta.source("oct", "disease class", split="train")
    assert isinstance(source, MedIMetaSource)
    assert source.name == "oct/disease class"
    assert source.task.domain == "OCT"
    assert source.task.classes == ("CNV", "DME", "drusen")
    assert len(source) == 10
    assert meta.source("oct").task.name == "oct/disease class", "the first task is the primary one"
    graded = meta.source("oct", "Field definition")
    np.testing.assert_array_equal(graded.labels, np.arange(12) % 3)
    np.testing.assert_array_equal(
        graded.task.target.decode(graded.labels), np.array([1, 4, 10])[np.arange(12) % 3]
    )
    assert meta.source("oct", "disease labels").labels.shape == (12, 3)
    with pytest.raises(InputError, match="did you mean 'disease class'"):
        meta.source("oct", "Disease Class")


def test_rows_of_a_split(tmp_path: Path) -> None:
    images = pixels(12, 3)
    write_dataset(tmp_path, channels=3, images=images, splits={"train": [7, 2, 4], "val": [9]})
    meta = MedIMeta(tmp_path)
    source = meta.source("toy", split=("val", "train"))
    np.testing.assert_array_equal(source.rows, [2, 4, 7, 9])
    np.testing.assert_array_equal(source.labels, [2, 1, 1, 0])
    np.testing.assert_array_equal(source.read([3, 0]).numpy(), images[[9, 2]].transpose(0, 3, 1, 2))
    buffer = torch.empty(2, 3, 6, 5, dtype=torch.uint8)
    assert source.images(np.array([3, 0]), out=buffer) is buffer
    np.testing.assert_array_equal(buffer.numpy(), images[[9, 2]].transpose(0, 3, 1, 2))
    assert len(meta.source("toy", split="train", original_splits=True)) == 12
    with pytest.raises(
        SourceError,
        match=r"'test' of 'toy' is empty; info\.yaml counts SplitCounts\(train=3, val=1",
    ):
        meta.source("toy", split="test")


@pytest.mark.parametrize(
    "wrong", [[-1], [10], [10**6], [0.0], [True], [[0]], "0", 3, [None]], ids=str
)
def test_wrong_indices_are_refused(tmp_path: Path, wrong: Any) -> None:
    source = MedIMetaDataset(write_dataset(tmp_path)).source(split="train")
    for read in (source.images, source.read, lambda given: source.images(np.array(given))):
        with pytest.raises(
            ReadError, match=r"source 'toy/disease class' was asked for .*it has samples 0\.\.9"
        ):
            read(wrong)
    assert source.read([]).shape == (0, 1, 6, 5)
    assert torch.equal(source.images([9, 0]), source.read(np.array([9, 0], dtype=np.uint8)))  # type: ignore[arg-type]


def test_pixels_and_channels(tmp_path: Path) -> None:
    write_dataset(tmp_path)
    meta = MedIMeta(tmp_path)
    read = meta.source("toy", pixels="float", channels=3).read([0, 5])
    assert read.shape == (2, 3, 6, 5)
    assert read.dtype == torch.float32
    assert -1 <= read.min() < -0.5 < 0.5 < read.max() <= 1
    with pytest.raises(InputError, match=r"source 'toy/disease class' got channels=2"):
        meta.source("toy", channels=2)  # type: ignore[arg-type]


def test_an_unknown_option_is_refused_by_every_function_that_reads(tmp_path: Path) -> None:
    write_dataset(tmp_path, "toy")
    write_dataset(tmp_path, "other", domain="Elsewhere")
    meta = MedIMeta(tmp_path)
    for read in (meta.source, meta.leave_one_domain_out):
        with pytest.raises(TypeError, match="no option of reading is called 'chanels'; did you"):
            read("toy", chanels=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="did you mean 'pixels'"):
        meta["toy"].source(pixel="float")  # type: ignore[call-arg]


def test_subjects_are_groups(tmp_path: Path) -> None:
    patients = [f"p{row // 2}" for row in range(12)]
    write_dataset(tmp_path, "with", patients=patients, splits={"train": [1, 4, 5, 11]})
    write_dataset(tmp_path, "without")
    meta = MedIMeta(tmp_path)
    groups = meta.source("with", split="train").groups
    assert groups is not None
    np.testing.assert_array_equal(groups, [0, 1, 1, 2])
    assert meta.source("with", groups=None).groups is None
    assert meta.source("without").groups is None
    with pytest.raises(SourceError, match=r"no column 'patient'; did you mean 'patient_id'"):
        meta.source("with", groups="patient")
    with pytest.raises(SourceError, match=r"no column 'patient_id'"):
        meta.source("without", groups="patient_id")


@pytest.mark.parametrize("storage", STORAGE)
def test_the_contract_of_a_source(tmp_path: Path, storage: str) -> None:
    dataset = MedIMetaDataset(
        write_dataset(
            tmp_path, channels=3, patients=[f"p{n}" for n in range(12)], **STORAGE[storage]
        )
    )
    check_source(dataset.source(split="train"))
    check_source(dataset.source("malignancy", pixels="float", channels=1))


@pytest.mark.parametrize("storage", STORAGE)
def test_a_source_travels_small(tmp_path: Path, storage: str) -> None:
    folder = write_dataset(tmp_path, count=200, tasks=[BINARY], **STORAGE[storage])
    source = MedIMetaDataset(folder).source()
    before = source.read([3, 1])
    sent = pickle.dumps(source)
    assert len(sent) < 6000
    twin = pickle.loads(sent)
    assert torch.equal(twin.read([3, 1]), before)
    assert not twin.rows.flags.writeable


def episodes(source: Any, workers: int, context: str | None = None) -> list[torch.Tensor]:
    sampler = tx.EpisodeSampler(source, ways=2, shots=2, queries=2, seed=3)
    loader = tx.EpisodeLoader(sampler, 6, workers=workers, context=context, chunk=2)
    return [torch.cat([episode.support.x, episode.query.x]).clone() for episode in loader]


@pytest.mark.long
@pytest.mark.parametrize("context", ["fork", "spawn"])
@pytest.mark.parametrize("storage", STORAGE)
def test_any_number_of_workers_reads_the_same(tmp_path: Path, storage: str, context: str) -> None:
    source = MedIMetaDataset(write_dataset(tmp_path, count=40, **STORAGE[storage])).source(
        pixels="float"
    )
    alone = episodes(source, 0)
    for together in (episodes(source, 2, context), episodes(source, 0)):
        assert all(torch.equal(one, two) for one, two in zip(alone, together, strict=True))
