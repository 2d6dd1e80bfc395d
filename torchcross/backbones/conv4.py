"""Conv4: four blocks of convolution, norm, ReLU and 2x2 max-pooling (Vinyals et al. 2016)."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, final

import torch
from torch import Tensor, nn

from torchcross._kit.argument_checks import check_choice, checked_int
from torchcross.backbones.base import Backbone, Grey, assemble
from torchcross.backbones.initial_values import Seed, initialise_convolutional
from torchcross.errors import InputError

Norm: TypeAlias = Literal["batch", "group", "none"]
Pooling: TypeAlias = Literal["mean", "max", "flatten"]

_BLOCKS = 4
_SHRINKS = 2**_BLOCKS
_GROUPS = 8


def conv4(
    channels: int = 64,
    *,
    in_channels: int = 3,
    norm: Norm = "batch",
    pooling: Pooling = "mean",
    image_size: int | None = None,
    ceil: bool = False,
    bias: bool = False,
    grey: Grey = None,
    seed: Seed = 0,
) -> Conv4:
    """Conv4 of 3x3 convolutions, for images of at least 16 pixels.

    norm     `"batch"`, `"group"` (8 groups) or `"none"` (convolutions then have biases)
    pooling  of the last map: `"mean"` or `"max"` over all its places, or `"flatten"`, which keeps
             them and needs `image_size`, the side of the images (84 gives the 1600 features of
             Snell et al. 2017)
    ceil     maps of odd sides are halved upwards (84 then gives 6 x 6 places, as in the network of
             Reptile)
    bias     convolutions have biases before a norm too

    >>> from torchcross.backbones import conv4
    >>> conv4(64, in_channels=1)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 64])
    """
    # What later versions added is part of a description where it is not as before.
    added: dict[str, Any] = {}
    if ceil:
        added["ceil"] = True
    if bias:
        added["bias"] = True
    return assemble(
        "conv4",
        Conv4,
        seed,
        channels=channels,
        in_channels=in_channels,
        norm=norm,
        pooling=pooling,
        image_size=image_size,
        grey=grey,
        **added,
    )


@final
class Conv4(Backbone):
    def __init__(
        self,
        *,
        channels: int,
        in_channels: int,
        norm: Norm,
        pooling: Pooling,
        image_size: int | None,
        grey: Grey,
        ceil: bool = False,
        bias: bool = False,
    ) -> None:
        checked_int("channels", channels)
        check_choice("norm", norm, ("batch", "group", "none"))
        check_choice("pooling", pooling, ("mean", "max", "flatten"))
        if norm == "group" and channels % _GROUPS:
            raise InputError(
                f"norm='group' has {_GROUPS} groups, which do not divide channels={channels}"
            )
        super().__init__(
            channels * _place_count(pooling, image_size, ceil), in_channels=in_channels, grey=grey
        )
        self.pooling = pooling
        self.image_size = image_size
        widths = [in_channels, *[channels] * _BLOCKS]
        self.layers = nn.Sequential(
            *(_ConvBlock(widths[at], channels, norm, ceil, bias) for at in range(_BLOCKS))
        )

    def _features(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        if min(height, width) < _SHRINKS:
            raise InputError(
                f"conv4 halves its images {_BLOCKS} times and got {height} x {width}; give at least"
                f" {_SHRINKS} pixels"
            )
        last_map: Tensor = self.layers(images)
        if self.pooling == "flatten":
            return torch.flatten(last_map, 1)
        return last_map.mean((2, 3)) if self.pooling == "mean" else last_map.amax((2, 3))

    def _initialise(self, generator: torch.Generator) -> None:
        initialise_convolutional(self, generator)


@final
class _ConvBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, norm: Norm, ceil: bool, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias or norm == "none")
        self.norm = _norm(norm, outputs)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2, ceil_mode=ceil)

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.pool(self.relu(self.norm(self.conv(x))))
        return pooled


def _norm(norm: Norm, channels: int) -> nn.Module:
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    return nn.GroupNorm(_GROUPS, channels) if norm == "group" else nn.Identity()


def _place_count(pooling: Pooling, image_size: int | None, ceil: bool) -> int:
    if pooling != "flatten":
        if image_size is not None:
            raise InputError(
                f"image_size={image_size} is for pooling='flatten'; pooling={pooling!r} takes any"
                " size"
            )
        return 1
    if image_size is None or checked_int("image_size", image_size) < _SHRINKS:
        raise InputError(
            "pooling='flatten' keeps every place of the map, so it needs image_size, the side of"
            f" the images, of at least {_SHRINKS}; got {image_size}"
        )
    # Four halvings, each rounded, are one division, rounded the same way.
    side = -(-image_size // _SHRINKS) if ceil else image_size // _SHRINKS
    return int(side**2)
