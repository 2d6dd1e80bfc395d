"""Curves, failures and pictures refuse what they cannot show, and show the rest as it is."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from tests.report.sample import example, labels_example
from torchcross._kit.pixels import as_pixels, data_uri
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.report import Curve, Example, Failure, Picture
from torchcross.targets import Binary, MultiLabel, Prediction
from torchcross.task import Task


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": [1, 2], "values": [0.5]}, "2 steps and 1 values"),
        ({"steps": [2, 1], "values": [0.5, 0.6]}, "not in ascending order"),
        ({"steps": [1, 1], "values": [0.5, 0.6]}, "not in ascending order"),
        ({"steps": [1, 2], "values": [0.5, 0.6], "best": 3}, "none of its steps"),
    ],
)
def test_a_curve_that_cannot_be_drawn_is_refused(
    arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Curve("maml", "loss", **arguments)  # type: ignore[arg-type]


def test_a_failure_has_a_reason() -> None:
    with pytest.raises(InputError, match="no reason"):
        Failure("  ")


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8), np.zeros(4, np.uint8)]
)
def test_a_picture_is_made_of_bytes(pixels: np.ndarray) -> None:
    with pytest.raises(InputError, match="8-bit"):
        Picture(pixels, "disc")


def test_an_example_names_truth_and_answer() -> None:
    found = example()
    assert [picture.truth for picture in found.support] == [
        "disc",
        "disc",
        "square",
        "square",
        "star",
        "star",
    ]
    assert [picture.predicted for picture in found.query[:4]] == ["disc", "square", "disc", "disc"]
    assert (found.shots, found.episode) == (2, 7)
    assert [picture.is_mistake for picture in found.query].count(True) == 3
    assert found.query[0].confidence == found.query[0].belief == pytest.approx(0.5 / 0.7)


def test_the_worst_mistake_is_the_one_that_believed_least_in_the_truth() -> None:
    beliefs = [picture.belief for picture in example().worst]
    assert len(beliefs) == 3
    assert beliefs == sorted(beliefs)
    assert beliefs[0] < beliefs[-1]


def test_several_answers_are_listed_without_what_nobody_knows() -> None:
    found = labels_example()
    assert [(picture.truth, picture.predicted) for picture in found.query] == [
        ("cyst", "cyst"),
        ("none of them", "edema"),
        ("cyst", "cyst"),
    ]
    assert [picture.is_mistake for picture in found.query] == [False, True, False]
    assert found.query[0].belief == pytest.approx(0.8)
    assert found.query[1].belief == pytest.approx(0.3)
    assert found.query[2].belief == pytest.approx(0.8)


def test_an_unknown_truth_is_no_mistake() -> None:
    images = torch.zeros(2, 1, 4, 4)
    episode = Episode(
        Batch(images, torch.tensor([0, 1])),
        Batch(images, torch.tensor([-1, 1])),
        Task("sick", Binary(["no", "yes"])),
    )
    prediction = Prediction(torch.tensor([[0.2, 0.8], [0.6, 0.4]]), torch.tensor([1, 0]))
    found = Example.of(
        episode, prediction, target="a/sick", algorithm="x", metric="auroc", score=1.0
    )
    assert [picture.truth for picture in found.query] == ["unknown", "yes"]
    assert [picture.predicted for picture in found.worst] == ["no"]


def test_a_prediction_of_other_samples_is_refused() -> None:
    images = torch.zeros(2, 1, 4, 4)
    batch = Batch(images, torch.tensor([0, 1]))
    episode = Episode(batch, batch, Task("sick", Binary(["no", "yes"])))
    prediction = Prediction(torch.full((3, 2), 0.5), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(InputError, match="2 query samples and a prediction of 3"):
        Example.of(episode, prediction, target="a/sick", algorithm="x", metric="auroc", score=1.0)


def test_normalised_images_come_back() -> None:
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    images = torch.linspace(0, 1, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    normal = (images - torch.tensor(mean).reshape(3, 1, 1)) / torch.tensor(std).reshape(3, 1, 1)
    (found,) = as_pixels([normal], mean, std)
    expected = (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(np.stack(found), expected)


def test_bytes_stay_bytes_and_what_has_another_scale_is_stretched() -> None:
    bytes_ = torch.arange(16, dtype=torch.uint8).reshape(1, 1, 4, 4) * 17
    assert np.array_equal(as_pixels([bytes_])[0][0], bytes_[0, 0].numpy())
    one, other = as_pixels([torch.full((1, 1, 1, 1), -2.0), torch.full((1, 1, 1, 1), 6.0)])
    assert (one[0].item(), other[0].item()) == (0, 255)
    assert as_pixels([torch.full((1, 1, 1, 1), 0.2)])[0][0].item() == 51


def test_images_of_other_shapes_are_refused() -> None:
    with pytest.raises(InputError, match="height, width"):
        as_pixels([torch.zeros(2, 4, 8, 8)])


def test_an_address_holds_the_picture() -> None:
    pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    address = data_uri(pixels, 100)
    start = "data:image/png;base64,"
    assert address.startswith(start)
    held = Image.open(io.BytesIO(base64.b64decode(address.removeprefix(start))))
    assert np.array_equal(np.asarray(held), pixels)
    large = Image.open(
        io.BytesIO(
            base64.b64decode(data_uri(np.zeros((50, 200), np.uint8), 100).removeprefix(start))
        )
    )
    assert large.size == (100, 25)


def test_an_image_without_any_known_label_is_no_mistake() -> None:
    images = torch.zeros(3, 1, 4, 4)
    episode = Episode(
        Batch(images, torch.tensor([[0, 1], [1, 0], [1, 1]])),
        Batch(images, torch.tensor([[-1, -1], [-1, 0], [0, 1]])),
        Task("findings", MultiLabel(["oedema", "mass"])),
    )
    prediction = Prediction(torch.full((3, 2), 0.6), torch.ones(3, 2, dtype=torch.int64))
    example = Example.of(
        episode, prediction, target="a/findings", algorithm="x", metric="auroc", score=1.0
    )
    assert [picture.truth for picture in example.query] == ["unknown", "none of them", "mass"]
    assert [picture.is_mistake for picture in example.query] == [False, True, True]
