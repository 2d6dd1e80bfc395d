"""What an array's shape and values say about its layout, before a network gets it."""

import warnings

import numpy as np
import pytest
import torch

from torchcross import Task, TensorSource
from torchcross.errors import SourceError, TorchcrossWarning
from torchcross.targets import Binary

COUNT = 4
TASK = Task("scans", Binary(["no", "yes"]))


def source_of(shape, scale=1.0, *, dtype=torch.float32, **options):
    images = (torch.rand(COUNT, *shape, generator=torch.Generator().manual_seed(0)) * scale).to(
        dtype
    )
    return TensorSource(images, np.arange(COUNT) % 2, TASK, **options)


def test_grey_images_without_channels_are_refused_with_the_fix():
    with pytest.raises(SourceError, match=r"images\[:, None\].*channels='first'"):
        source_of((28, 32))
    assert source_of((28, 32), channels="first").read([1]).shape == (1, 28, 32)


@pytest.mark.parametrize("colours", [3, 4])
def test_colours_in_the_last_axis_are_refused_with_the_fix(colours):
    with pytest.raises(SourceError, match=r"channels='last', or channels='first' if 28 is"):
        source_of((28, 32, colours))
    assert source_of((28, 32, colours), channels="last").read([1]).shape == (1, colours, 28, 32)
    assert source_of((28, 32, colours), channels="first").read([1]).shape == (1, 28, 32, colours)


@pytest.mark.parametrize(
    "shape", [(), (16,), (3, 100), (1, 28, 28), (3, 16, 3), (64, 1, 1), (22, 100, 1), (5, 16, 16)]
)
def test_vectors_signals_and_images_are_taken_as_they_are(shape):
    assert source_of(shape).read([0]).shape == (1, *shape)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_float_images_of_0_to_255_are_warned_of(dtype):
    with pytest.warns(TorchcrossWarning, match="divide by 255"):
        source_of((3, 16, 16), 255, dtype=dtype)


def test_the_warning_names_the_line_that_makes_the_source():
    images = torch.linspace(0, 255, COUNT * 64).reshape(COUNT, 1, 8, 8)
    with pytest.warns(TorchcrossWarning, match="divide by 255") as caught:
        TensorSource(images, np.arange(COUNT) % 2, TASK)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(
    ("scale", "dtype"),
    [
        (1, torch.float32),
        (4, torch.float32),  # normalised, by chance without a negative value
        (-200, torch.float32),
        (4000, torch.float32),  # counts of a detector
        (255, torch.uint8),
        (255, torch.int16),
    ],
)
def test_other_values_are_not_warned_of(scale, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source_of((3, 16, 16), scale, dtype=dtype)


@pytest.mark.parametrize("shape", [(64,), (64, 1, 1), (22, 100, 1)])
def test_vectors_and_signals_of_large_values_are_not_warned_of(shape):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source_of(shape, 255)


def test_values_on_both_sides_of_0_are_not_warned_of():
    images = torch.linspace(-100, 155, COUNT * 64).reshape(COUNT, 1, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TensorSource(images, np.arange(COUNT) % 2, TASK)
