"""Augmentations that do one thing, images to try them on, and what was done to an image, read off a
ramp.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchcross.data.loading.augment import Augmentation

NOTHING = Augmentation(
    horizontal_flip=0, vertical_flip=0, rotation_probability=0, crop_probability=0
)
CROPPED = replace(NOTHING, crop_probability=1)
EVERYTHING = Augmentation(
    horizontal_flip=0.5, vertical_flip=0.5, rotation_probability=0.5, crop_probability=0.5
)
DTYPES = [torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64]
SHAPES = [(6, 3, 12, 12), (6, 1, 9, 14), (6, 15, 8), (6, 3, 1, 7), (6, 2, 1, 1)]


def turned(*angles: float, **options: Any) -> Augmentation:
    """Always rotates by exactly the angle, or by one between the two."""
    return replace(NOTHING, rotation_probability=1, rotation=(angles[0], angles[-1]), **options)


def noise(*shape: int, dtype: torch.dtype = torch.uint8) -> Tensor:
    pixels = torch.randint(
        0, 256, shape, generator=torch.Generator().manual_seed(1), dtype=torch.uint8
    )
    return pixels if dtype == torch.uint8 else (pixels / 255).to(dtype)


def ramps(count: int, height: int, width: int) -> Tensor:
    """Images whose two channels are the x and the y of each pixel: warped, they say where a pixel
    was read.
    """
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x, y]).double().expand(count, 2, height, width).contiguous()


def matrices(
    augment: Augmentation, count: int, *, index: int = 0, side: int = 9
) -> NDArray[np.float64]:
    """What happened to each image, read off a ramp: (count, 2, 3) matrices about the centre of the
    image.
    """
    warped = augment.apply(ramps(count, side, side), index=index).numpy()
    middle = side // 2
    at, right, below = (warped[:, :, middle + y, middle + x] for y, x in ((0, 0), (0, 1), (1, 0)))
    return np.stack([right - at, below - at, at - middle], axis=2)


def crop_places(augment: Augmentation, count: int, crop: int, side: int) -> NDArray[np.int64]:
    """The (left, top) of crops of `crop` out of `side` pixels (even), which are neither turned nor
    flipped.
    """
    scale = crop / side
    starts = matrices(augment, count, side=side)[:, :, 2] + side // 2 * (1 - scale)
    places = starts + 0.5 - 0.5 * scale
    assert np.allclose(places, places.round(), atol=1e-9)
    return places.round().astype(np.int64)
