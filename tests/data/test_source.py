"""Sources: what they refuse, what they read, and that a failed read says where."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import torchcross as tx
from torchcross.data import LabelSource, TaskSource, TensorSource
from torchcross.errors import LabelError, ReadError, SourceError
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal

SHAPES = tx.Task("shape", MultiClass(["disc", "square", "star"]), domain="toys")
LABELS = np.array([0, 1, 2, 0, 1, 2])


def numbered(count: int = 6) -> torch.Tensor:
    """Images that hold their own number."""
    return torch.arange(count).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2).clone()


def test_images_come_in_the_order_asked_for_and_may_repeat() -> None:
    source = TensorSource(numbered(), LABELS, SHAPES)
    assert source.read([4, 0, 4])[:, 0, 0, 0].tolist() == [4, 0, 4]
    assert source.targets([4, 0, 4]).tolist() == [1, 0, 1]
    assert source.targets([4]).dtype == torch.int64


@pytest.mark.parametrize("kind", ["numpy", "memmap", "tensor"])
def test_every_kind_of_array_gives_the_same_images(kind: str, tmp_path) -> None:
    images = numbered().numpy().astype(np.uint8)
    if kind == "memmap":
        images.tofile(tmp_path / "images.bin")
        images = np.memmap(tmp_path / "images.bin", dtype=np.uint8, mode="r", shape=images.shape)
    source = TensorSource(torch.from_numpy(np.array(images)) if kind == "tensor" else images, LABELS, SHAPES)
    found = source.read([5, 1])
    assert found.dtype == torch.uint8
    assert found[:, 0, 0, 0].tolist() == [5, 1]


def test_a_memory_map_travels_as_its_place_not_as_its_content(tmp_path) -> None:
    images = np.arange(6 * 10_000, dtype=np.uint16).reshape(6, 1, 100, 100)
    np.save(tmp_path / "images.npy", images)
    images.tofile(tmp_path / "images.bin")
    maps = [
        np.load(tmp_path / "images.npy", mmap_mode="r"),
        np.memmap(tmp_path / "images.bin", dtype=np.uint16, mode="r", shape=images.shape),
    ]
    for mapped in maps:
        source = TensorSource(mapped, LABELS, SHAPES)
        pickled = pickle.dumps(source)
        assert len(pickled) < 10_000
        assert torch.equal(pickle.loads(pickled).read([4, 1]), source.read([4, 1]))
        assert torch.equal(source.read([4]), torch.from_numpy(images[[4]]))
    part = TensorSource(maps[0][:, :, 50:], LABELS, SHAPES)
    assert torch.equal(pickle.loads(pickle.dumps(part)).read([3]), torch.from_numpy(images[[3], :, 50:]))


def test_channels_last_arrays_are_handed_out_channels_first() -> None:
    images = np.zeros((6, 4, 5, 3), dtype=np.uint8)
    images[2, 1, 3, 2] = 7
    found = TensorSource(images, LABELS, SHAPES, channels="last").read([2])
    assert found.shape == (1, 3, 4, 5)
    assert found[0, 2, 1, 3] == 7


def test_reading_does_not_alias_the_array() -> None:
    images = np.zeros((6, 1, 2, 2), dtype=np.float32)
    source = TensorSource(images, LABELS, SHAPES)
    source.read([0, 1]).add_(1)
    assert not images.any()


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: TensorSource(numbered(5), LABELS, SHAPES), SourceError, "5 images and 6 labels"),
        (lambda: TensorSource(numbered(), LABELS, "shape"), SourceError, "give a Task"),
        (lambda: TensorSource(numbered().tolist(), LABELS, SHAPES), SourceError, "images of type list"),
        (lambda: TensorSource(numbered(0), LABELS[:0], SHAPES), SourceError, "no samples"),
        (lambda: TensorSource(numbered(), LABELS + 1, SHAPES), LabelError, "'toys/shape' hold 2 value"),
        (lambda: TensorSource(numbered(), LABELS[:, None] + np.zeros(2), SHAPES), LabelError, r"shape \(6, 2\)"),
        (
            lambda: TensorSource(numbered(), LABELS, SHAPES, groups=[1, 2]),
            SourceError,
            r"6 samples and groups of shape \(2,\)",
        ),
        (lambda: TensorSource(numbered(), LABELS, SHAPES, groups=[1, 2, np.nan, 4, 5, 6]), SourceError, "index 2"),
        (
            lambda: TensorSource(numbered(), LABELS, SHAPES, groups=["a", None, "b", "a", "b", "b"]),
            SourceError,
            "index 1",
        ),
        (lambda: TensorSource(numbered(), LABELS, SHAPES, channels="middle"), SourceError, "channels is 'first'"),
        (lambda: TensorSource(torch.zeros(6, 3), LABELS, SHAPES, channels="last"), SourceError, r"\(6, 3\)"),
    ],
)
def test_parts_that_do_not_fit_are_refused_when_the_source_is_made(make, error, says) -> None:
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize("indices", [[6], [-1], [[0, 1]]])
def test_indices_outside_a_source_are_named(indices) -> None:
    with pytest.raises(ReadError, match=r"asked for indices .* samples 0\.\.5"):
        TensorSource(numbered(), LABELS, SHAPES).read(indices)


class Broken(TaskSource):
    def __init__(self, result) -> None:
        super().__init__(SHAPES, LABELS)
        self.result = result

    def images(self, indices):
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (OSError("disk gone"), "could not read the samples .*OSError: disk gone"),
        (torch.zeros(3, 1), r"returned shape \(3, 1\) for 2 indices"),
        (np.zeros(2), "returned a ndarray for 2 indices"),
    ],
)
def test_a_users_source_that_fails_is_named_with_its_samples(result, says) -> None:
    with pytest.raises(ReadError, match=says):
        Broken(result).read([1, 2])


def test_subjects_may_be_any_names() -> None:
    source = LabelSource(LABELS, SHAPES, groups=["p7", "p7", "p1", "p1", "p3", "p3"])
    assert source.groups is not None
    assert source.groups.tolist() == [2, 2, 0, 0, 1, 1]


def test_a_subset_is_a_source_of_its_own() -> None:
    source = TensorSource(numbered(), LABELS, SHAPES, groups=[5, 5, 6, 6, 7, 7])
    part = source.subset([5, 2, 3], name="train")
    assert part.name == "train"
    assert part.read([0, 2])[:, 0, 0, 0].tolist() == [5, 3]
    assert part.labels.tolist() == [2, 2, 0]
    assert part.groups.tolist() == [1, 0, 0]
    assert part.subset([2]).read([0])[0, 0, 0, 0] == 3


@pytest.mark.parametrize("indices", [[], [0, 0], [6], [-1], [0.5], [[1]]])
def test_a_subset_needs_distinct_samples(indices) -> None:
    with pytest.raises(SourceError, match="subset of 'toys/shape'"):
        LabelSource(LABELS, SHAPES).subset(indices)


def test_an_ordinary_dataset_comes_out() -> None:
    source = TensorSource(numbered(), LABELS, SHAPES)
    dataset = source.as_dataset(transform=lambda image: image + 10)
    assert len(dataset) == 6
    assert dataset[-1][0][0, 0, 0] == 15
    assert dataset[4][1] == 1
    loader = DataLoader(dataset, batch_size=4, generator=torch.Generator())
    images, labels = next(iter(loader))
    assert images[:, 0, 0, 0].tolist() == [10, 11, 12, 13]
    assert labels.tolist() == [0, 1, 2, 0]
    with pytest.raises(IndexError):
        dataset[6]


def test_fingerprints_tell_labels_and_classes_apart() -> None:
    base = LabelSource(LABELS, SHAPES)
    assert base.fingerprint() == LabelSource(LABELS.astype(np.float32), SHAPES).fingerprint()
    others = [
        LabelSource(LABELS[::-1].copy(), SHAPES),
        LabelSource(LABELS[:5], SHAPES),
        LabelSource(LABELS, tx.Task("shape", MultiClass(["disc", "square", "ring"]))),
        LabelSource(LABELS, tx.Task("shape", Ordinal(["disc", "square", "star"]))),
    ]
    assert len({base.fingerprint(), *(other.fingerprint() for other in others)}) == 5


def test_a_fingerprint_is_the_same_for_ever() -> None:
    assert LabelSource(LABELS, SHAPES).fingerprint().startswith("7155add5a9fbe28f")


def test_counts_name_every_class() -> None:
    assert LabelSource(LABELS, SHAPES).counts() == {"disc": 2, "square": 2, "star": 2}
    several = LabelSource([[0, 1], [1, 1]], tx.Task("m", MultiLabel(["a", "b"])))
    assert several.counts() == {"a": 1, "b": 2}
    unknown = LabelSource([0, 1, -9], tx.Task("b", Binary(missing=-9)))
    assert unknown.counts() == {"negative": 1, "positive": 1}


def test_labels_alone_cannot_be_read() -> None:
    with pytest.raises(ReadError, match="holds labels only"):
        LabelSource(LABELS, SHAPES).read([0])


def test_sources_are_picklable_and_their_arrays_read_only() -> None:
    source = pickle.loads(pickle.dumps(TensorSource(numbered(), LABELS, SHAPES, groups=LABELS)))
    assert source.read([3])[0, 0, 0, 0] == 3
    assert source.task == SHAPES
    fresh = TensorSource(numbered(), LABELS, SHAPES, groups=LABELS)
    for array in (fresh.labels, fresh.groups):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_a_source_does_not_freeze_the_arrays_it_was_given() -> None:
    labels, groups = np.array([0, 1, 2], dtype=np.int8), np.array([0, 1, 2])
    LabelSource(labels, SHAPES, groups=groups)
    labels[0], groups[0] = 2, 9
