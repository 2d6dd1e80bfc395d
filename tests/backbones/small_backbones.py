"""Small backbones of every kind, for tests that run them often."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from torchcross import backbones
from torchcross.backbones import Backbone
from torchcross.backbones.base import assemble
from torchcross.backbones.resnet import ResNet, _Bottleneck

SIDE = 32


def bottlenecks(name: str, *, stride_first: bool, seed: int = 0) -> ResNet:
    """A ResNet-50 with one block in each stage."""
    shape = partial(ResNet, _Bottleneck, (1, 1, 1, 1), stride_first=stride_first)
    eps = {"norm_eps": 1e-3} if stride_first else {}
    return assemble(name, shape, seed, in_channels=3, grey=None, stem="imagenet", **eps)


SMALL: dict[str, Callable[[], Backbone]] = {
    "conv4": partial(backbones.conv4, 8),
    "conv4_group": partial(backbones.conv4, 8, norm="group", pooling="flatten", image_size=SIDE),
    "conv4_none": partial(backbones.conv4, 8, norm="none", pooling="max"),
    "conv4_ceil": partial(
        backbones.conv4, 8, pooling="flatten", image_size=SIDE, ceil=True, bias=True
    ),
    "resnet18": backbones.resnet18,
    "resnet18_small": partial(backbones.resnet18, stem="small"),
    "bottlenecks": partial(bottlenecks, "resnet50", stride_first=False),
    "bottlenecks_keras": partial(bottlenecks, "resnet50_keras", stride_first=True),
    "mobilenet_v2": partial(backbones.mobilenet_v2, width=0.1),
    "small_vit": partial(backbones.small_vit, image_size=SIDE, width=24, depth=2, heads=3),
    "small_vit_mean": partial(
        backbones.small_vit, image_size=SIDE, width=24, depth=1, heads=2, pooling="mean"
    ),
}


def images(count: int = 3, channels: int = 3, side: int = SIDE, seed: int = 0) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(seed))


def values(backbone: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in backbone.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
