"""What augmentation makes of the pixels: against torch, Pillow and loops over pixels."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from tests.data.warps import (
    CROPPED,
    DTYPES,
    EVERYTHING,
    NOTHING,
    SHAPES,
    crop_places,
    noise,
    ramps,
    turned,
)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_where_nothing_is_drawn_nothing_changes(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    images = noise(*shape, dtype=dtype)
    result = NOTHING.apply(images, index=0)
    assert torch.equal(result, images)
    assert result.data_ptr() != images.data_ptr()
    assert torch.equal(replace(CROPPED, crop=1, rotation=0.0).apply(images, index=0), images)


def test_images_beside_a_warped_one_stay_as_they_are() -> None:
    images = noise(60, 3, 11, 11, dtype=torch.float32)
    augment = replace(turned(30, 60), rotation_probability=0.5)
    same = (augment.apply(images, index=0) == images).flatten(1).all(dim=1)
    assert 15 < same.sum() < 45


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_flips_are_exact(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    images = noise(*shape, dtype=dtype)
    horizontal, vertical = replace(NOTHING, horizontal_flip=1), replace(NOTHING, vertical_flip=1)
    assert torch.equal(horizontal.apply(images, index=0), images.flip(-1))
    assert torch.equal(vertical.apply(images, index=0), images.flip(-2))
    assert torch.equal(
        replace(horizontal, vertical_flip=1).apply(images, index=0), images.flip(-1, -2)
    )


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("side", [1, 2, 8, 13])
def test_quarter_turns_are_counter_clockwise(
    side: int, dtype: torch.dtype, interpolation: str, padding: str
) -> None:
    images = noise(2, 3, side, side, dtype=dtype)
    precision = {
        "rtol": 0,
        "atol": 0 if dtype == torch.uint8 or interpolation == "nearest" else 1e-5,
    }
    for turns in (-2, -1, 1, 2, 3):
        augment = turned(90 * turns, interpolation=interpolation, padding=padding)
        result = augment.apply(images, index=0)
        torch.testing.assert_close(result, images.rot90(turns, (-2, -1)), **precision)


@pytest.mark.parametrize("shape", [(2, 3, 6, 9), (2, 1, 7, 4), (2, 5, 5), (2, 3, 1, 6)])
def test_half_turns_of_images_that_are_not_square(shape: tuple[int, ...]) -> None:
    images = noise(*shape)
    assert torch.equal(turned(180).apply(images, index=0), images.flip(-1, -2))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_quarter_turns_blacken_whole_rows(dtype: torch.dtype) -> None:
    """Rows 1 and 5 are read exactly from the edge, where a cosine of 6e-17 would decide pixel by
    pixel.
    """
    for degrees in (90, -90, 270):
        rows = turned(degrees).apply(torch.ones(1, 7, 4, dtype=dtype), index=0)[0]
        assert rows.tolist() == [[int(0 < row < 6)] * 4 for row in range(7)]


@pytest.mark.parametrize("shape", [(30, 30), (20, 33), (33, 20)])
@pytest.mark.parametrize("degrees", [10, -10, 37.5, 75])
def test_rotation_is_pillows(shape: tuple[int, int], degrees: float) -> None:
    """Direction, centre, interpolation and what is black: as torchvision rotates a Pillow image."""
    image = noise(1, *shape).float()
    result = turned(degrees).apply(image, index=0)[0]
    expected = np.array(
        Image.fromarray(image[0].numpy()).rotate(degrees, Image.Resampling.BILINEAR)
    )
    assert (expected == 0).sum() > 10
    torch.testing.assert_close(result, torch.from_numpy(expected), rtol=0, atol=0.02)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_a_crop_is_resized_with_half_pixel_centres(dtype: torch.dtype) -> None:
    augment = replace(CROPPED, crop=9 / 12)
    images = noise(30, 3, 12, 12, dtype=dtype)
    result = augment.apply(images, index=0)
    places = crop_places(augment, 30, crop=9, side=12)
    assert places.min() == 0
    assert places.max() == 3
    for image, cropped, (left, top) in zip(images, result, places.tolist(), strict=True):
        # One pixel more than the crop on every side: the image's own, or at the image's border the
        # last again.
        rows, columns = (torch.arange(first - 1, first + 10).clamp(0, 11) for first in (top, left))
        expected = bilinear(image[:, rows][:, :, columns].double(), 9 / 12)
        assert (cropped - expected).abs().max() < (0.5001 if dtype == torch.uint8 else 1e-5)
        resized = interpolate(
            image[None, :, top : top + 9, left : left + 9].double(), (12, 12), mode="bilinear"
        )[0]
        torch.testing.assert_close(expected[:, 1:-1, 1:-1], resized[:, 1:-1, 1:-1])


def test_a_crop_has_at_least_one_pixel() -> None:
    image = torch.arange(64, dtype=torch.uint8).reshape(1, 8, 8)
    corner = replace(CROPPED, crop=1e-3, interpolation="nearest").apply(
        image.expand(1000, 8, 8), index=0
    )
    assert (corner == corner[:, :1, :1]).all()
    assert len(corner.unique()) == 64
    line = torch.arange(16.0).reshape(1, 1, 16)
    cropped = replace(CROPPED, crop=0.5).apply(line, index=0)[0, 0]
    torch.testing.assert_close(cropped[1:-1].diff(), torch.full((13,), 0.5))


def bilinear(around: Tensor, scale: float) -> Tensor:
    """A 12 x 12 resize of the inside of `around`, which has one pixel more on every side; pixel by
    pixel.
    """
    result = torch.empty(len(around), 12, 12, dtype=torch.float64)
    for row in range(12):
        for column in range(12):
            y, x = ((place + 0.5) * scale - 0.5 + 1 for place in (row, column))
            top, left = math.floor(y), math.floor(x)
            down, right = y - top, x - left
            upper = around[:, top, left] * (1 - right) + around[:, top, left + 1] * right
            lower = around[:, top + 1, left] * (1 - right) + around[:, top + 1, left + 1] * right
            result[:, row, column] = upper * (1 - down) + lower * down
    return result


@pytest.mark.parametrize("shape", [(24, 24), (18, 30)])
@pytest.mark.parametrize("horizontal_flip", [0, 1])
def test_flip_then_rotate_then_crop(shape: tuple[int, int], horizontal_flip: int) -> None:
    """On a ramp one interpolation equals the published three steps, done by Pillow, wherever no
    black comes near.
    """
    height, width = shape
    augment = turned(20, horizontal_flip=horizontal_flip, crop_probability=1, crop=0.5)
    result = augment.apply(ramps(4, height, width), index=2)
    x, y = replace(CROPPED, crop=0.5).apply(ramps(4, height, width), index=2).unbind(1)
    lefts, tops = (
        (corner + 0.25).round().int().tolist() for corner in (x[:, 5, 1] - 0.5, y[:, 1, 5] - 0.5)
    )
    light = torch.ones(1, height, width)
    flipped = torch.cat(
        [ramps(1, height, width)[0].flip([-1] if horizontal_flip else []).float(), light]
    )
    rotated = [
        Image.fromarray(channel.numpy()).rotate(20, Image.Resampling.BILINEAR)
        for channel in flipped
    ]
    compared = 0
    for image, left, top in zip(result, lefts, tops, strict=True):
        box = (left, top, left + width // 2, top + height // 2)
        steps = [
            np.array(turn.crop(box).resize((width, height), Image.Resampling.BILINEAR))
            for turn in rotated
        ]
        x, y, lit = torch.from_numpy(np.stack(steps)).double()
        clear = (lit == 1) & (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
        clear[[0, -1]] = clear[:, [0, -1]] = False
        compared += int(clear.sum())
        torch.testing.assert_close(
            image[:, clear], torch.stack([x, y])[:, clear], rtol=0, atol=1e-4
        )
    assert compared > 1000


def test_padding() -> None:
    images = torch.full((1, 1, 21, 21), 200, dtype=torch.uint8)
    black = turned(45).apply(images, index=0)
    assert black.unique().tolist() == [0, 200]
    assert black[0, 0, [0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [0, 0, 0, 0]
    for padding in ("border", "reflection"):
        assert turned(45, padding=padding).apply(images, index=0).unique().tolist() == [200]
    # By 45 degrees, the upper left corner is read above the middle of the upper edge.
    border, reflection = (
        turned(45, padding=padding).apply(ramps(1, 21, 21), index=0)[0, :, 0, 0]
        for padding in ("border", "reflection")
    )
    torch.testing.assert_close(border, torch.tensor([10.0, 0.0], dtype=torch.float64))
    torch.testing.assert_close(
        reflection, torch.tensor([10.0, 10 * math.sqrt(2) - 10], dtype=torch.float64)
    )


def test_nearest_invents_no_values() -> None:
    images = noise(20, 1, 16, 16) // 64 * 64
    nearest = replace(EVERYTHING, interpolation="nearest", rotation=45.0).apply(images, index=0)
    assert set(nearest.unique().tolist()) <= {0, 64, 128, 192}
    assert len(replace(EVERYTHING, rotation=45.0).apply(images, index=0).unique()) > 50


def test_uint8_is_the_rounded_float() -> None:
    images = noise(30, 3, 16, 12)
    floating = EVERYTHING.apply(images.double(), index=0)
    assert (EVERYTHING.apply(images, index=0) - floating).abs().max() <= 0.5 + 1e-3
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        result = EVERYTHING.apply(images.to(dtype), index=0)
        assert result.dtype == dtype
        torch.testing.assert_close(
            result.double(), floating, rtol=0, atol=1 if dtype == torch.bfloat16 else 0.1
        )


@pytest.mark.parametrize("shape", SHAPES)
def test_grey_and_colour_are_warped_alike(shape: tuple[int, ...]) -> None:
    images = noise(*shape)
    result = EVERYTHING.apply(images, index=0)
    assert result.shape == images.shape
    if len(shape) == 3:
        assert torch.equal(result, EVERYTHING.apply(images[:, None], index=0)[:, 0])
    else:
        alone = [EVERYTHING.apply(images[:, channel], index=0) for channel in range(shape[1])]
        assert torch.equal(result, torch.stack(alone, dim=1))


def test_memory_layouts_do_not_matter() -> None:
    images = noise(8, 3, 10, 10)
    expected = EVERYTHING.apply(images, index=0)
    assert torch.equal(
        EVERYTHING.apply(images.to(memory_format=torch.channels_last), index=0), expected
    )
    turned_over = images.transpose(-1, -2).contiguous().transpose(-1, -2)
    assert torch.equal(EVERYTHING.apply(turned_over, index=0), expected)
    one = images[:1].expand(8, 3, 10, 10)
    assert torch.equal(EVERYTHING.apply(one, index=0), EVERYTHING.apply(one.contiguous(), index=0))


def test_gradients_flow() -> None:
    images = noise(6, 2, 5, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: replace(EVERYTHING, rotation=40.0).apply(x, index=0), (images,)
    )
    replace(NOTHING, horizontal_flip=1).apply(images, index=0)[..., 0].sum().backward()
    assert images.grad is not None
    assert images.grad[..., -1].eq(1).all()
    assert images.grad[..., :-1].eq(0).all()
