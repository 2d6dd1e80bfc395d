"""Normalisation of batches, also in worker processes."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
import torch

from tests.data.warps import noise
from torchcross.data import EpisodeLoader, Episodes, EpisodeSampler, TensorSource
from torchcross.data.loading.augment import Normalise
from torchcross.errors import InputError
from torchcross.targets import MultiClass
from torchcross.task import Task

IMAGENET = Normalise.imagenet()


@pytest.mark.slow
def test_by_hand() -> None:
    normalise = Normalise((0.5, 0.0), (0.25, 2.0))
    images = torch.tensor([[[[255, 0]], [[255, 51]]]], dtype=torch.uint8)
    expected = torch.tensor([[[[2.0, -2.0]], [[0.5, 0.1]]]])
    torch.testing.assert_close(normalise(images), expected)
    torch.testing.assert_close(normalise(images.double() / 255), expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.float32, torch.float64])
def test_the_result_is_new_and_float32(dtype: torch.dtype) -> None:
    images = noise(4, 3, 5, 6, dtype=dtype)
    before = images.clone()
    result = IMAGENET(images)
    assert torch.equal(images, before)
    assert (result.dtype, result.shape) == (torch.float32, images.shape)
    assert result.data_ptr() != images.data_ptr()
    unit = images.float() / (255 if dtype == torch.uint8 else 1)
    for channel, (mean, std) in enumerate(
        zip([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], strict=True)
    ):
        torch.testing.assert_close(result[:, channel], (unit[:, channel] - mean) / std)


def test_grey_images_need_no_channel() -> None:
    images = noise(3, 5, 6)
    normalise = Normalise((0.2,), (0.3,))
    assert torch.equal(normalise(images), normalise(images[:, None])[:, 0])


def test_gradients_flow() -> None:
    images = noise(2, 3, 2, 2, dtype=torch.float32).requires_grad_()
    IMAGENET(images).sum().backward()
    assert images.grad is not None
    torch.testing.assert_close(images.grad[0, :, 0, 0], 1 / torch.tensor([0.229, 0.224, 0.225]))


@pytest.mark.long
def test_it_works_in_worker_processes() -> None:
    task = Task("shape", MultiClass(["disc", "square", "star"]))
    sampler = EpisodeSampler(
        TensorSource(noise(60, 3, 8, 8), np.arange(60) % 3, task), shots=2, queries=3
    )
    loader = EpisodeLoader(sampler, 2, workers=1, context="spawn", transform=IMAGENET)
    for index, episode in enumerate(loader):
        plain = Episodes(sampler)[index]
        assert torch.equal(episode.support.x, IMAGENET(plain.support.x))
        assert torch.equal(episode.query.x, plain.map(IMAGENET).query.x)


def test_it_is_a_value() -> None:
    assert Normalise([0, 1], np.array([1.0, 2.0])) == Normalise((0.0, 1.0), (1.0, 2.0))  # type: ignore[arg-type]
    assert pickle.loads(pickle.dumps(IMAGENET)) == IMAGENET
    assert hash(Normalise.imagenet()) == hash(IMAGENET)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((0.5, 0.5), (1.0,), "mean has 2 channels and std 1"),
        ((), (), r"mean=\(\) does not have one finite number"),
        (0.5, (1.0,), "mean=0.5"),
        ("05", (1.0, 1.0), "mean='05'"),
        ((math.nan,), (1.0,), "mean="),
        ((0.5,), (math.inf,), "std="),
        ((0.5, 0.5), (1.0, 0.0), "not above 0"),
        ((True,), (1.0,), "mean="),
    ],
)
def test_parameters_that_cannot_be(mean: object, std: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Normalise(mean, std)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((2, 1, 8, 8), torch.uint8, r"3 channels.*\(2, 1, 8, 8\), which have 1; .*expand"),
        ((2, 8, 8, 3), torch.uint8, "which have 8"),
        ((3, 8, 8), torch.uint8, "which have 1"),
        ((8, 8), torch.float32, "give a batch"),
        ((2, 3, 8, 8), torch.int32, "int32; convert"),
    ],
)
def test_images_that_do_not_fit(shape: tuple[int, ...], dtype: torch.dtype, message: str) -> None:
    with pytest.raises(InputError, match=message):
        IMAGENET(torch.zeros(shape, dtype=dtype))
