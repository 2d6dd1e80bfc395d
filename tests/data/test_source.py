"""Sources: what they refuse, what they read, and that a failed read says where."""

from __future__ import annotations

import pickle

import datasets
import numpy as np
import pytest
import scipy.sparse
import torch
from PIL import Image
from torch.utils.data import DataLoader

import torchcross as tx
from torchcross.data import DatasetSource, ImageFolderSource, LabelSource, TaskSource, TensorSource
from torchcross.errors import LabelError, ReadError, SourceError
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal

SHAPES = tx.Task("shape", MultiClass(["disc", "square", "star"]), domain="toys")
LABELS = np.array([0, 1, 2, 0, 1, 2])
# numpy 2 has a type of strings.
STRINGS = np.dtypes.StringDType() if hasattr(np.dtypes, "StringDType") else np.dtype(object)


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
    source = TensorSource(
        torch.from_numpy(np.array(images)) if kind == "tensor" else images, LABELS, SHAPES
    )
    found = source.read([5, 1])
    assert found.dtype == torch.uint8
    assert found[:, 0, 0, 0].tolist() == [5, 1]


def test_a_memory_map_travels_as_its_place_not_as_its_content(tmp_path) -> None:
    images = np.arange(6 * 10_000, dtype=np.uint16).reshape(6, 1, 100, 100)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "columns.npy", np.asfortranarray(images))
    images.tofile(tmp_path / "images.bin")
    maps = [
        np.load(tmp_path / "images.npy", mmap_mode="r"),
        np.load(tmp_path / "columns.npy", mmap_mode="r"),
        np.memmap(tmp_path / "images.bin", dtype=np.uint16, mode="r", shape=images.shape),
    ]
    for mapped in maps:
        source = TensorSource(mapped, LABELS, SHAPES)
        pickled = pickle.dumps(source)
        assert len(pickled) < 10_000
        assert torch.equal(pickle.loads(pickled).read([4, 1]), source.read([4, 1]))
        assert torch.equal(source.read([4]), torch.from_numpy(images[[4]]))
    part = TensorSource(maps[0][:, :, 50:], LABELS, SHAPES)
    assert torch.equal(
        pickle.loads(pickle.dumps(part)).read([3]), torch.from_numpy(images[[3], :, 50:])
    )


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
        (
            lambda: TensorSource(numbered().tolist(), LABELS, SHAPES),
            SourceError,
            "images of type list",
        ),
        (lambda: TensorSource(numbered(0), LABELS[:0], SHAPES), SourceError, "no samples"),
        (
            lambda: TensorSource(numbered(), LABELS + 1, SHAPES),
            LabelError,
            "'toys/shape' hold 2 value",
        ),
        (
            lambda: TensorSource(numbered(), LABELS[:, None] + np.zeros(2), SHAPES),
            LabelError,
            r"shape \(6, 2\)",
        ),
        (
            lambda: TensorSource(numbered(), LABELS, SHAPES, groups=[1, 2]),
            SourceError,
            r"6 samples and groups of shape \(2,\)",
        ),
        (
            lambda: TensorSource(numbered(), LABELS, SHAPES, groups=[1, 2, np.nan, 4, 5, 6]),
            SourceError,
            "index 2",
        ),
        (
            lambda: TensorSource(
                numbered(), LABELS, SHAPES, groups=["a", None, "b", "a", "b", "b"]
            ),
            SourceError,
            "index 1",
        ),
        (
            lambda: TensorSource(numbered(), LABELS, SHAPES, channels="middle"),
            SourceError,
            "channels is 'first'",
        ),
        (
            lambda: TensorSource(torch.zeros(6, 3), LABELS, SHAPES, channels="last"),
            SourceError,
            r"\(6, 3\)",
        ),
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
        (OSError("disk gone"), "could not read sample 1: OSError: disk gone"),
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


def every_kind_of_source(tmp_path) -> list[TaskSource]:
    for number, name in enumerate(["disc", "square", "star"] * 2):
        (tmp_path / "shape" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((2, 2), number, np.uint8)).save(
            tmp_path / "shape" / name / f"{number}.png"
        )
    np.save(tmp_path / "images.npy", numbered().numpy())
    rows = {"image": [Image.new("L", (2, 2))] * 6, "label": LABELS.tolist(), "who": LABELS.tolist()}
    hugging = datasets.Dataset.from_dict(rows).cast_column(
        "label", datasets.ClassLabel(names=["a", "b", "c"])
    )
    whole = TensorSource(numbered(), LABELS, SHAPES, groups=LABELS)
    return [
        whole,
        TensorSource(
            np.load(tmp_path / "images.npy", mmap_mode="r"), LABELS, SHAPES, groups=LABELS
        ),
        whole.subset([3, 1]),
        LabelSource(LABELS, SHAPES, groups=LABELS),
        DatasetSource(list(numbered()), SHAPES, labels=LABELS, groups=LABELS),
        ImageFolderSource(tmp_path / "shape", groups=LABELS),
        tx.HuggingFaceSource(hugging, group="who"),
    ]


def test_sources_are_picklable_and_their_arrays_read_only(tmp_path) -> None:
    for fresh in every_kind_of_source(tmp_path):
        copy = pickle.loads(pickle.dumps(fresh))
        assert copy.task == fresh.task
        for source in (fresh, copy):
            for name in ("labels", "groups", "indices"):
                if hasattr(source, name):
                    assert not getattr(source, name).flags.writeable, (type(source), name)
        if not isinstance(fresh, LabelSource):
            assert torch.equal(copy.read([1, 0]), fresh.read([1, 0]))


@pytest.mark.parametrize("name", ["", "  ", 3])
def test_a_source_has_a_name_or_none_is_given(name) -> None:
    for make in (
        LabelSource(LABELS, SHAPES).subset,
        lambda _, name: LabelSource(LABELS, SHAPES, name=name),
    ):
        with pytest.raises(SourceError, match="give a non-empty string"):
            make([0], name=name)


@pytest.mark.parametrize(
    ("groups", "codes"),
    [
        ([1, 1.0, "1", True, b"1", np.float32(1)], [0] * 6),
        (np.array([1, 1.0, 2, 2.5, "x", 10**30], dtype=object), [0, 0, 2, 3, 4, 1]),
        (
            np.array(["b", "a", "b", "c", "a", "b"], dtype=STRINGS),
            [1, 0, 1, 2, 0, 1],
        ),
    ],
)
def test_one_subject_is_one_subject_however_it_is_written(groups, codes) -> None:
    assert LabelSource(LABELS, SHAPES, groups=groups).groups.tolist() == codes


@pytest.mark.parametrize("nobody", ["", "  ", "nan", "NaN", None, float("nan")])
def test_a_sample_of_nobody_is_refused(nobody) -> None:
    with pytest.raises(SourceError, match=r"no subject for 1 sample\(s\), the first at index 2"):
        LabelSource(LABELS, SHAPES, groups=["a", "b", nobody, "c", "d", "e"])


class OnDisk:
    """Indexed like an HDF5 dataset: increasing numbers only, and an array comes back."""

    def __init__(self, array) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, indices):
        if (np.diff(indices) <= 0).any():
            raise TypeError("Indexing elements must be in increasing order")
        return self.array[indices]


def test_an_array_on_disk_is_read_in_its_order_and_handed_out_in_ours() -> None:
    source = TensorSource(OnDisk(numbered().numpy()), LABELS, SHAPES)
    assert source.read([4, 0, 4, 2])[:, 0, 0, 0].tolist() == [4, 0, 4, 2]
    assert source.read([]).shape == (0, 1, 2, 2)


def test_a_foreign_byte_order_is_turned() -> None:
    images = numbered().numpy().astype(">i2")
    found = TensorSource(images, LABELS, SHAPES).read([5, 1])
    assert found.dtype == torch.int16
    assert found[:, 0, 0, 0].tolist() == [5, 1]


class Forgetful(OnDisk):
    def __getitem__(self, indices):
        return self.array[:1]


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (np.full((6, 2), None), "dtype object; give numbers"),
        (np.full((6, 2), "pixel"), "dtype <U5; give numbers"),
        (torch.zeros(6, 2).to_sparse(), "layout torch.sparse_coo; give a dense one"),
        (torch.zeros(6, 2, device="meta"), "on the meta device"),
        (np.ma.masked_equal(np.zeros((6, 2)), 0), "masked array"),
        (scipy.sparse.csr_array(np.zeros((6, 2))), "cannot read rows of its images, a csr_array"),
        (np.zeros((6, 2), dtype="datetime64[s]"), "dtype datetime64"),
        (Forgetful(np.zeros((6, 2))), "cannot read rows of its images, a Forgetful"),
    ],
)
def test_images_that_no_read_could_give_are_refused_when_the_source_is_made(images, says) -> None:
    with pytest.raises(SourceError, match=says):
        TensorSource(images, LABELS, SHAPES)


def test_the_first_sample_that_fails_is_named_however_many_are_read() -> None:
    class Torn(TaskSource):
        def images(self, indices):
            if (found := indices[indices > 70]).size:
                raise OSError(f"{len(found)} torn")
            return torch.zeros(len(indices), 1)

    source = Torn(SHAPES, np.arange(100) % 3)
    with pytest.raises(ReadError, match="could not read sample 81: OSError: 1 torn"):
        source.read([*range(60), 81, *range(60, 70), 90])


def test_samples_that_fail_only_together_are_said_to() -> None:
    class Shy(TaskSource):
        def images(self, indices):
            return torch.zeros(len(indices), 1)[
                : 1 if len(indices) == 1 else 99 // (len(indices) - 2)
            ]

    with pytest.raises(
        ReadError, match=r"samples \[4, 1\] together, though each of them alone: ZeroDivisionError"
    ):
        Shy(SHAPES, LABELS).read([4, 1])


def test_a_source_does_not_freeze_the_arrays_it_was_given() -> None:
    labels, groups = np.array([0, 1, 2], dtype=np.int8), np.array([0, 1, 2])
    LabelSource(labels, SHAPES, groups=groups)
    labels[0], groups[0] = 2, 9
