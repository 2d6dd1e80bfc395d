"""Hugging Face datasets as sources."""

from __future__ import annotations

import importlib
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

import torchcross as tx
from torchcross.errors import LabelError, ReadError, SourceError
from torchcross.targets import Binary, MultiClass, MultiLabel

PETS = tx.Task("pets", MultiClass(["cat", "dog"]))


def pixels(number: int) -> np.ndarray:
    return np.full((4, 4, 3), number, dtype=np.uint8)


@pytest.fixture(scope="module")
def datasets() -> ModuleType:
    """The library is slow to import; collecting the tests does without it."""
    return importlib.import_module("datasets")


@pytest.fixture(scope="module")
def hugging(datasets):
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "who": datasets.Value("string"),
        }
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
    source = tx.HuggingFaceSource(
        hugging.with_format("torch"), tx.Task("dog?", Binary(["cat", "dog"]))
    )
    assert source.read([3])[0, 0, 0, 0] == 3


def test_hugging_face_datasets_that_do_not_fit(hugging, datasets) -> None:
    with pytest.raises(
        SourceError, match=r"no column 'picture'; it has \['image', 'label', 'who'\]"
    ):
        tx.HuggingFaceSource(hugging, image="picture")
    with pytest.raises(SourceError, match="has no class names"):
        tx.HuggingFaceSource(hugging, label="who")
    with pytest.raises(SourceError, match="give one split"):
        tx.HuggingFaceSource(datasets.DatasetDict({"train": hugging}))
    holes = datasets.Dataset.from_dict({"image": [None, None], "label": [0, 1]})
    with pytest.raises(ReadError, match="no image for sample 1"):
        tx.HuggingFaceSource(holes, PETS).read([1])


def named_by(hugging, **names: str):
    copy = hugging.select(range(len(hugging)))
    for name, value in names.items():
        setattr(copy.info, name, value)
    return copy


def test_two_hugging_face_datasets_give_tasks_of_two_names(hugging) -> None:
    names = [
        {"dataset_name": "beans", "config_name": "default"},
        {"builder_name": "marks", "config_name": "default-1f"},
        {"dataset_name": "beans", "config_name": "small"},
    ]
    found = [tx.HuggingFaceSource(named_by(hugging, **name)).name for name in names]
    assert found == ["beans/label", "marks/label", "beans-small/label"]


@pytest.fixture(scope="module")
def listed(datasets):
    label = datasets.Sequence(datasets.ClassLabel(names=["a", "b", "c"]))
    features = datasets.Features({"image": datasets.Image(), "label": label})
    rows = {"image": [Image.new("L", (4, 4))] * 3, "label": [[2, 0], [], [1]]}
    return datasets.Dataset.from_dict(rows, features=features)


def test_lists_of_class_numbers_are_the_labels_of_a_multi_label_task(listed) -> None:
    source = tx.HuggingFaceSource(listed)
    assert source.task == tx.Task("label", MultiLabel(["a", "b", "c"]))
    assert source.labels.tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    turned = tx.HuggingFaceSource(listed, tx.Task("m", MultiLabel(["c", "a", "b"])))
    assert turned.labels.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    with pytest.raises(
        SourceError, match=r"lists classes named \['a', 'b', 'c'\], the task has \['x', 'y'\]"
    ):
        tx.HuggingFaceSource(listed, tx.Task("m", MultiLabel(["x", "y"])))


def test_rows_of_zeros_and_ones_are_taken_as_they_are(datasets) -> None:
    answers = datasets.Sequence(datasets.ClassLabel(names=["no", "yes"]), length=3)
    features = datasets.Features({"image": datasets.Image(), "label": answers})
    rows = {"image": [Image.new("L", (4, 4))] * 2, "label": [[0, 1, 1], [1, 0, 0]]}
    dataset = datasets.Dataset.from_dict(rows, features=features)
    source = tx.HuggingFaceSource(dataset, tx.Task("m", MultiLabel(["x", "y", "z"])))
    assert source.labels.tolist() == rows["label"]


def test_a_list_of_labels_that_is_missing_is_named(listed) -> None:
    dataset = listed.add_item({"image": None, "label": None})
    with pytest.raises(
        LabelError, match=r"holds None for sample 3; expected a list of class numbers in 0\.\.2"
    ):
        tx.HuggingFaceSource(dataset)


def test_columns_of_other_things_than_images(hugging, datasets) -> None:
    with pytest.raises(
        SourceError, match=r"decode=False.*cast_column\('image', datasets\.Image\(\)\)"
    ):
        tx.HuggingFaceSource(hugging.cast_column("image", datasets.Image(decode=False)))
    rows = {"image": [pixels(number).tolist() for number in range(3)], "label": [0, 1, 0]}
    for dtype in ("uint8", "float32"):
        feature = datasets.Array3D((4, 4, 3), dtype)
        features = datasets.Features({"image": feature, "label": datasets.Value("int64")})
        dataset = datasets.Dataset.from_dict(rows, features=features)
        if dtype == "uint8":
            found = tx.HuggingFaceSource(dataset, PETS).read([2, 1])
            assert (found.dtype, found[:, 0, 0, 0].tolist()) == (torch.uint8, [2, 1])
            with pytest.raises(SourceError, match="both need images"):
                tx.HuggingFaceSource(dataset, PETS, size=8)
        else:
            with pytest.raises(SourceError, match="array float32"):
                tx.HuggingFaceSource(dataset, PETS)
    with pytest.raises(SourceError, match="an image is a"):
        tx.HuggingFaceSource(hugging, image="who")
