"""Small sources and backbones to embed."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from torchcross.data import TensorSource, toys
from torchcross.embedding.forward import BLOCK
from torchcross.targets import Binary
from torchcross.task import Task

IMAGES = 2 * BLOCK + 22
"""Three blocks, the last one not full."""


def numbered_source(count: int = IMAGES, name: str = "numbers") -> TensorSource:
    """Image i has the value i in each of its 2 x 2 pixels."""
    images = torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(count, 1, 2, 2)
    return TensorSource(images.clone(), np.arange(count) % 2, Task("odd", Binary()), name=name)


def shapes() -> TensorSource:
    return toys.multiclass(IMAGES, size=16)


class Counting(nn.Module):
    """Features (value, 2 x value, 1).

    `calls` has how many images each forward of any of them had: a forward runs in a copy.
    """

    num_features = 3
    calls: ClassVar[list[int]] = []

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor([1.0, 2.0]))
        self.calls.clear()

    def forward(self, images: Tensor) -> Tensor:
        self.calls.append(len(images))
        value = images.flatten(1)[:, :1]
        return torch.cat([value * self.factor, torch.ones_like(value)], dim=1)


class Returning(nn.Module):
    """Features that a function makes of the values of images (N,)."""

    def __init__(self, make: object) -> None:
        super().__init__()
        self._make = make

    def forward(self, images: Tensor) -> Tensor:
        return self._make(images.flatten(1)[:, 0])  # type: ignore[operator]


def blocks_of(net: Counting) -> list[int]:
    """How many images each forward had, without those of a few, which check a network."""
    return [count for count in net.calls if count > 2]
