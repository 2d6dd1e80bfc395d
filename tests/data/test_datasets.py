"""Sources over what people already have: datasets, folders."""

from __future__ import annotations

import logging
import pickle
from pathlib import PurePath

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, Subset, TensorDataset

import torchcross as tx
from torchcross.errors import InfeasibleError, LabelError, ReadError, SourceError
from torchcross.targets import Binary, MultiClass, MultiLabel

PETS = tx.Task("pets", MultiClass(["cat", "dog"]))


def pixels(number: int, shape=(4, 4, 3)) -> np.ndarray:
    return np.full(shape, number, dtype=np.uint8)


class Pictures(Dataset):
    """PIL images with integer labels, counting how often it is read."""

    def __init__(self, count: int = 8) -> None:
        self.count = count
        self.reads = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int):
        self.reads += 1
        return Image.fromarray(pixels(index)), index % 2


def test_of_a_dataset_with_labels_given_one_item_is_read_until_more_are_asked_for() -> None:
    dataset = Pictures()
    source = tx.DatasetSource(dataset, PETS, labels=[n % 2 for n in range(8)])
    assert dataset.reads == 1
    images = source.read([6, 1])
    assert images.shape == (2, 3, 4, 4)
    assert images.dtype == torch.uint8
    assert images[:, 0, 0, 0].tolist() == [6, 1]
    assert dataset.reads == 3


def test_a_dataset_without_labels_is_read_once_and_says_so(caplog) -> None:
    dataset = Pictures()
    with caplog.at_level(logging.WARNING, logger="torchcross"):
        source = tx.DatasetSource(dataset, PETS)
    assert "reading all 8 items once" in caplog.text
    assert dataset.reads == 8
    assert source.labels.tolist() == [0, 1] * 4
    tx.EpisodeSampler(source, shots=1, queries=1)[0]
    assert dataset.reads == 8


def test_tensor_datasets_work_as_they_are() -> None:
    dataset = TensorDataset(torch.arange(8.0).reshape(8, 1, 1, 1), torch.arange(8) % 2)
    source = tx.DatasetSource(dataset, PETS)
    episode = tx.Episodes(tx.EpisodeSampler(source, shots=1, queries=2))[3]
    assert torch.equal(episode.support.x.flatten().long() % 2, episode.support.y)
    assert torch.equal(episode.query.x.flatten().long() % 2, episode.query.y)


def test_one_hot_like_label_tensors_are_collected_row_by_row() -> None:
    answers = torch.tensor([[0, 1], [1, 0], [1, 1], [0, 0]])
    task = tx.Task("m", tx.targets.MultiLabel(["a", "b"]))
    source = tx.DatasetSource(TensorDataset(torch.zeros(4, 1), answers), task)
    assert source.labels.tolist() == answers.tolist()


def test_a_batched_dataset_is_read_in_one_call() -> None:
    class Batched(Pictures):
        calls = 0

        def __getitems__(self, indices):
            self.calls += 1
            return [self[index] for index in indices]

    dataset = Batched()
    tx.DatasetSource(dataset, PETS, labels=[0, 1] * 4).read([0, 3, 5])
    assert dataset.calls == 1


def test_an_item_that_cannot_be_read_is_named_with_its_episode() -> None:
    class Torn(Pictures):
        def __getitem__(self, index: int):
            if index == 5:
                raise OSError("truncated")
            return super().__getitem__(index)

    source = tx.DatasetSource(Torn(), PETS, labels=[0, 1] * 4)
    with pytest.raises(ReadError, match="item 5: OSError: truncated"):
        source.read([1, 5])
    sampler = tx.EpisodeSampler(source, shots=2, queries=2)
    before = sampler[7]
    with pytest.raises(ReadError, match=r"episode 7: source 'pets' could not read item 5"):
        tx.Episodes(sampler)[7]
    assert sampler[7] == before


def test_images_of_different_sizes_are_named() -> None:
    class Uneven(Pictures):
        def __getitem__(self, index: int):
            return Image.fromarray(pixels(index, (4 + index, 4, 3))), 0

    source = tx.DatasetSource(Uneven(), PETS, labels=[0, 1] * 4)
    with pytest.raises(
        ReadError, match=r"sample 1 is uint8 \(3, 5, 4\), sample 3 is uint8 \(3, 7, 4\)"
    ):
        source.read([1, 3])


@pytest.mark.parametrize(
    ("dataset", "labels", "says"),
    [
        (iter([1, 2]), None, "no length or cannot be indexed"),
        (Pictures(), [0, 1], "8 items and 2 labels"),
        ([1, 2, 3], None, "item 0 of the dataset is of type int"),
        (
            [{"image": pixels(1), "label": 0}],
            [0],
            r"a dict with the keys \['image', 'label'\].*HuggingFaceSource",
        ),
        ([()], [0], "item 0 of the dataset is empty"),
        (["a.png"], [0], r"an image is a str; expected a tensor \(C, H, W\)"),
        ([("a.png", 0)], None, r"an image is a str; expected a tensor"),
        ([pixels(1, (3, 4, 8))], [0], r"array uint8 \(3, 4, 8\), and which axis.* \(C, H, W\)"),
        ([pixels(1).astype(np.float32)], [0], r"array float32 \(4, 4, 3\), and which axis"),
    ],
)
def test_datasets_that_do_not_fit(dataset, labels, says) -> None:
    with pytest.raises(SourceError, match=says):
        tx.DatasetSource(dataset, PETS, labels=labels)


@pytest.mark.parametrize(
    ("item", "shape"),
    [
        (torch.full((3, 8, 8), 5), (3, 8, 8)),
        (pixels(5, (6, 8)), (1, 6, 8)),
        (pixels(5, (6, 8, 3)), (3, 6, 8)),
        (pixels(5, (6, 8)).astype(">u2"), (1, 6, 8)),
        (Image.fromarray(pixels(5, (6, 8, 4))), (4, 6, 8)),
        ((torch.full((2, 8, 8), 5), 1, "more"), (2, 8, 8)),
        ([pixels(5, (6, 8))], (1, 6, 8)),
    ],
)
def test_with_labels_given_an_item_is_an_image_or_begins_with_one(item, shape) -> None:
    found = tx.DatasetSource([item, item], PETS, labels=[0, 1]).read([1, 0])
    assert found.shape == (2, *shape)
    assert bool((found.float() == 5).all())


def test_a_subset_of_a_dataset_names_the_item_that_fails() -> None:
    class Torn(Pictures):
        def __getitem__(self, index: int):
            if index == 6:
                raise OSError("truncated")
            return super().__getitem__(index)

    source = tx.DatasetSource(Subset(Torn(), [0, 2, 4, 6]), PETS, labels=[0, 1, 0, 1])
    with pytest.raises(ReadError, match="could not read sample 3: OSError: truncated"):
        source.read([0, 3])
    with pytest.raises(ReadError, match="could not read item 6: OSError: truncated"):
        tx.DatasetSource(Torn(), PETS)


def test_labels_of_different_lengths_are_named_when_they_are_collected() -> None:
    items = [(torch.zeros(1, 2, 2), label) for label in ([0, 1], [1, 0], [1], [0, 0])]
    with pytest.raises(
        LabelError, match=r"item 2 of the dataset has the label \[1\], item 0 has \[0, 1\]"
    ):
        tx.DatasetSource(items, tx.Task("m", MultiLabel(["a", "b"])))


def test_an_image_of_another_kind_among_arrays_is_named_when_it_is_read() -> None:
    source = tx.DatasetSource([pixels(1), {"image": pixels(2)}], PETS, labels=[0, 1])
    with pytest.raises(ReadError, match="sample 1: SourceError: item 1 of the dataset is a dict"):
        source.read([0, 1])


@pytest.fixture
def folder(tmp_path):
    """Two classes with images of two kinds, one of them in a sub-folder, and things that are no
    images.
    """
    for number in range(6):
        name = "cat" if number % 2 == 0 else "dog"
        place = tmp_path / "pets" / name / ("more" if number > 3 else "")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(number * 10)).save(
            place / f"{number}.{'png' if number < 3 else 'bmp'}"
        )
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "pets" / ".cache").mkdir()
    (tmp_path / "pets" / "cat" / "._0.png").write_bytes(b"macOS was here")
    (tmp_path / "pets" / "dog" / ".thumbs").mkdir()
    Image.fromarray(pixels(99)).save(tmp_path / "pets" / "dog" / ".thumbs" / "1.png")
    return tmp_path / "pets"


def test_a_folder_of_images_is_a_task_named_after_it(folder) -> None:
    source = tx.ImageFolderSource(folder)
    assert source.task == PETS
    assert source.counts() == {"cat": 3, "dog": 3}
    values = source.read(range(6))[:, 0, 0, 0].tolist()
    assert sorted(values) == [0, 10, 20, 30, 40, 50]
    assert [value // 10 % 2 for value in values] == source.labels.tolist()


def test_a_folder_can_be_grey_resized_and_of_another_target(folder) -> None:
    task = tx.Task("dog?", Binary(["cat", "dog"]))
    source = tx.ImageFolderSource(folder, task, size=(8, 6), mode="L")
    assert source.read([0, 1]).shape == (2, 1, 8, 6)
    assert pickle.loads(pickle.dumps(source)).read([1]).shape == (1, 1, 8, 6)
    assert tx.ImageFolderSource(folder, size=7).read([0]).shape == (1, 3, 7, 7)


def test_a_broken_image_names_sample_and_file(folder) -> None:
    (folder / "dog" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    source = tx.ImageFolderSource(folder)
    with pytest.raises(ReadError, match=r"sample 3, file .*1\.png"):
        source.read([0, 3])


def test_folders_that_do_not_fit(folder, tmp_path) -> None:
    with pytest.raises(SourceError, match="is not a folder"):
        tx.ImageFolderSource(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="has no sub-folders"):
        tx.ImageFolderSource(folder / "dog" / "more")
    with pytest.raises(SourceError, match=r"folders \['dog'\] that are no classes"):
        tx.ImageFolderSource(folder, tx.Task("birds", MultiClass(["cat", "owl"])))
    with pytest.raises(SourceError, match="it is 'RGB' or 'L'"):
        tx.ImageFolderSource(folder, mode="rgb")
    for size in (0, -1, True, 2.5, (8,), (8, 0), (8, 8.0), "8"):
        with pytest.raises(SourceError, match="two positive integers"):
            tx.ImageFolderSource(folder, size=size)
    (tmp_path / "empty" / "a").mkdir(parents=True)
    (tmp_path / "empty" / "b").mkdir()
    with pytest.raises(SourceError, match="no images"):
        tx.ImageFolderSource(tmp_path / "empty")


def test_a_class_without_a_folder_is_an_error_of_the_sampler_that_names_it(folder) -> None:
    source = tx.ImageFolderSource(folder, tx.Task("pets", MultiClass(["cat", "dog", "owl"])))
    with pytest.raises(InfeasibleError, match="class 'owl' has 0 samples"):
        tx.EpisodeSampler(source, shots=1, queries=1)


def test_the_order_of_a_folder_is_the_same_on_every_system(tmp_path, monkeypatch) -> None:
    """Paths of Windows compare without case."""
    names = ["a/Zebra.png", "a/ant.png", "a b/x.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4)).save(tmp_path / name)
    monkeypatch.setattr(PurePath, "__lt__", lambda one, two: str(one).lower() < str(two).lower())
    source = tx.ImageFolderSource(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in source.paths] == names
    assert source.labels.tolist() == [0, 0, 1]
