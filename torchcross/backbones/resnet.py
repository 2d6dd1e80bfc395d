"""ResNets (He et al. 2016) under torchvision's names: their weight files load without a change."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, TypeAlias, final

import torch
from torch import Tensor, nn

from torchcross._kit.argument_checks import check_choice, checked_number
from torchcross.backbones.base import Backbone, Grey, assemble
from torchcross.backbones.initial_values import Seed, initialise_convolutional

Stem: TypeAlias = Literal["imagenet", "small"]

_WIDTHS = (64, 128, 256, 512)


def resnet18(
    *, in_channels: int = 3, grey: Grey = None, stem: Stem = "imagenet", seed: Seed = 0
) -> ResNet:
    """ResNet-18, 512 features.

    `stem="small"` is for images of about 32 pixels: 3x3, stride 1, no pooling.

    >>> from torchcross.backbones import resnet18
    >>> resnet18().num_features
    512
    """
    return _plain(
        "resnet18", _BasicBlock, (2, 2, 2, 2), seed, in_channels=in_channels, grey=grey, stem=stem
    )


def resnet34(
    *, in_channels: int = 3, grey: Grey = None, stem: Stem = "imagenet", seed: Seed = 0
) -> ResNet:
    """ResNet-34, 512 features; for `stem` see `resnet18`.

    >>> from torchcross.backbones import resnet34
    >>> resnet34().num_features
    512
    """
    return _plain(
        "resnet34", _BasicBlock, (3, 4, 6, 3), seed, in_channels=in_channels, grey=grey, stem=stem
    )


def resnet50(
    *, in_channels: int = 3, grey: Grey = None, stem: Stem = "imagenet", seed: Seed = 0
) -> ResNet:
    """ResNet-50, 2048 features; for `stem` see `resnet18`.

    The stride is in the 3x3 convolution, as in torchvision.

    >>> from torchcross.backbones import resnet50
    >>> resnet50().num_features
    2048
    """
    return _plain(
        "resnet50", _Bottleneck, (3, 4, 6, 3), seed, in_channels=in_channels, grey=grey, stem=stem
    )


def resnet50_keras(
    *,
    in_channels: int = 3,
    grey: Grey = None,
    stem: Stem = "imagenet",
    norm_eps: float = 1e-3,
    seed: Seed = 0,
) -> ResNet:
    """ResNet-50 of the paper and of Keras, 2048 features.

    The stride is in the first 1x1 convolution. Convolutions have no biases; those of Keras's files
    are folded into the running means of the norms behind them. `norm_eps` is 1e-3 in the files of
    the first Keras applications and 1.001e-5 in later ones; the momentum is Keras's.

    >>> from torchcross.backbones import resnet50_keras
    >>> resnet50_keras().num_features
    2048
    """
    shape = partial(ResNet, _Bottleneck, (3, 4, 6, 3), stride_first=True, norm_momentum=0.01)
    options = {"in_channels": in_channels, "grey": grey, "stem": stem, "norm_eps": norm_eps}
    return assemble("resnet50_keras", shape, seed, **options)


def _plain(
    name: str, block: _ResidualBlock, depths: tuple[int, ...], seed: Seed, **options: Any
) -> ResNet:
    return assemble(name, partial(ResNet, block, depths), seed, **options)


@final
class ResNet(Backbone):
    classifier = ("fc.*",)

    def __init__(
        self,
        block: _ResidualBlock,
        depths: tuple[int, ...],
        *,
        in_channels: int,
        grey: Grey,
        stem: Stem,
        stride_first: bool = False,
        norm_eps: float = 1e-5,
        norm_momentum: float = 0.1,
    ) -> None:
        check_choice("stem", stem, ("imagenet", "small"))
        super().__init__(_WIDTHS[-1] * block.expansion, in_channels=in_channels, grey=grey)
        self.norm_eps = checked_number("norm_eps", norm_eps, above=0)
        norm = partial(nn.BatchNorm2d, eps=norm_eps, momentum=norm_momentum)
        if stem == "imagenet":
            self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
            self.maxpool: nn.Module = nn.MaxPool2d(3, stride=2, padding=1)
        else:
            self.conv1 = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
            self.maxpool = nn.Identity()
        self.bn1 = norm(64)
        self.relu = nn.ReLU()
        inputs = 64
        for stage, (width, depth) in enumerate(zip(_WIDTHS, depths, strict=True)):
            make = partial(block, width=width, norm=norm, stride_first=stride_first)
            outputs = width * block.expansion
            first = make(inputs, stride=1 if stage == 0 else 2)
            self.add_module(
                f"layer{stage + 1}",
                nn.Sequential(first, *(make(outputs, stride=1) for _ in range(depth - 1))),
            )
            inputs = outputs

    def _features(self, images: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        for name in ("layer1", "layer2", "layer3", "layer4"):
            x = self.get_submodule(name)(x)
        features: Tensor = x.mean((2, 3))
        return features

    def _initialise(self, generator: torch.Generator) -> None:
        initialise_convolutional(self, generator)


@final
class _BasicBlock(nn.Module):
    expansion = 1

    def __init__(
        self, inputs: int, *, width: int, stride: int, norm: _Norm, stride_first: bool
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = norm(width)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(inputs, width, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        shortcut = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(y + shortcut)
        return out


@final
class _Bottleneck(nn.Module):
    expansion = 4

    def __init__(
        self, inputs: int, *, width: int, stride: int, norm: _Norm, stride_first: bool
    ) -> None:
        super().__init__()
        first, second = (stride, 1) if stride_first else (1, stride)
        self.conv1 = nn.Conv2d(inputs, width, 1, stride=first, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=second, padding=1, bias=False)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = norm(width * self.expansion)
        self.relu = nn.ReLU()
        self.downsample = _shortcut(inputs, width * self.expansion, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        shortcut = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(y + shortcut)
        return out


_ResidualBlock: TypeAlias = type[_BasicBlock] | type[_Bottleneck]
_Norm: TypeAlias = partial[nn.BatchNorm2d]


def _shortcut(inputs: int, outputs: int, stride: int, norm: _Norm) -> nn.Module | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), norm(outputs))
