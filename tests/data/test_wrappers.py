"""Sources over what people already have: datasets, folders, Hugging Face datasets."""

from __future__ import annotations

import logging
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, TensorDataset

import torchcross as tx
from torchcross.errors import InfeasibleError, ReadError, SourceError
from torchcross.targets import Binary, MultiClass

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


def test_a_dataset_with_labels_given_is_not_read_until_asked() -> None:
    dataset = Pictures()
    source = tx.DatasetSource(dataset, PETS, labels=[n % 2 for n in range(8)])
    assert dataset.reads == 0
    images = source.read([6, 1])
    assert images.shape == (2, 3, 4, 4)
    assert images.dtype == torch.uint8
    assert images[:, 0, 0, 0].tolist() == [6, 1]
    assert dataset.reads == 2


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
    with pytest.raises(ReadError, match=r"sample 1 is uint8 \(3, 5, 4\), sample 3 is uint8 \(3, 7, 4\)"):
        source.read([1, 3])


@pytest.mark.parametrize(
    ("dataset", "labels", "says"),
    [
        (iter([1, 2]), None, "no length or cannot be indexed"),
        (Pictures(), [0, 1], "8 items and 2 labels"),
        ([1, 2, 3], None, "item 0 of the dataset is of type int"),
    ],
)
def test_datasets_that_do_not_fit(dataset, labels, says) -> None:
    with pytest.raises(SourceError, match=says):
        tx.DatasetSource(dataset, PETS, labels=labels)


@pytest.fixture
def folder(tmp_path):
    """Two classes with images of two kinds, one of them in a sub-folder, and things that are no images."""
    for number in range(6):
        name = "cat" if number % 2 == 0 else "dog"
        place = tmp_path / "pets" / name / ("more" if number > 3 else "")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(number * 10)).save(place / f"{number}.{'png' if number < 3 else 'bmp'}")
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "pets" / ".cache").mkdir()
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
    (tmp_path / "empty" / "a").mkdir(parents=True)
    (tmp_path / "empty" / "b").mkdir()
    with pytest.raises(SourceError, match="no images"):
        tx.ImageFolderSource(tmp_path / "empty")


def test_a_class_without_a_folder_is_an_error_of_the_sampler_that_names_it(folder) -> None:
    source = tx.ImageFolderSource(folder, tx.Task("pets", MultiClass(["cat", "dog", "owl"])))
    with pytest.raises(InfeasibleError, match="class 'owl' has 0 samples"):
        tx.EpisodeSampler(source, shots=1, queries=1)


@pytest.fixture(scope="module")
def hugging():
    import datasets

    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"]), "who": datasets.Value("string")}
    )
    rows = {
        "image": [Image.fromarray(pixels(number)) for number in range(8)],
        "label": [number % 2 for number in range(8)],
        "who": [f"p{number // 2}" for number in range(8)],
    }
    return datasets.Dataset.from_dict(rows, features=features)


def test_a_hugging_face_dataset_brings_classes_and_subjects(hugging) -> None:
    source = tx.HuggingFaceSource(hugging, group="who")
    assert source.task == tx.Task("label", MultiClass(["cat", "dog"]))
    assert source.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    images = source.read([5, 2, 5])
    assert images.shape == (3, 3, 4, 4)
    assert images[:, 0, 0, 0].tolist() == [5, 2, 5]
    episode = tx.Episodes(tx.EpisodeSampler(source, shots=1, queries=1))[0]
    assert len(episode.support) == 2


def test_a_hugging_face_dataset_with_a_task_of_ones_own_and_numpy_format(hugging) -> None:
    source = tx.HuggingFaceSource(hugging.with_format("torch"), tx.Task("dog?", Binary(["cat", "dog"])))
    assert source.read([3])[0, 0, 0, 0] == 3


def test_hugging_face_datasets_that_do_not_fit(hugging) -> None:
    import datasets

    with pytest.raises(SourceError, match=r"no column 'picture'; it has \['image', 'label', 'who'\]"):
        tx.HuggingFaceSource(hugging, image="picture")
    with pytest.raises(SourceError, match="has no class names"):
        tx.HuggingFaceSource(hugging, label="who")
    with pytest.raises(SourceError, match="give one split"):
        tx.HuggingFaceSource(datasets.DatasetDict({"train": hugging}))
    holes = datasets.Dataset.from_dict({"image": [None, None], "label": [0, 1]})
    with pytest.raises(ReadError, match="no image for sample 1"):
        tx.HuggingFaceSource(holes, PETS).read([1])
