"""MobileNetV2 (Sandler et al. 2018) under torchvision's names, so its weight files load as is."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from torchcross._kit.argument_checks import checked_number
from torchcross.backbones.base import Backbone, Grey, assemble
from torchcross.backbones.initial_values import Seed, initialise_convolutional

# Table 2 of the paper: expansion, channels, blocks, stride of the first block.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(
    *, width: float = 1.0, in_channels: int = 3, grey: Grey = None, seed: Seed = 0
) -> MobileNetV2:
    """MobileNetV2, 1280 features; `width` multiplies the channels (above 1, also the features).

    >>> from torchcross.backbones import mobilenet_v2
    >>> mobilenet_v2().num_features
    1280
    """
    return assemble(
        "mobilenet_v2", MobileNetV2, seed, width=width, in_channels=in_channels, grey=grey
    )


@final
class MobileNetV2(Backbone):
    classifier = ("classifier.*",)

    def __init__(self, *, width: float, in_channels: int, grey: Grey) -> None:
        checked_number("width", width, above=0)
        last = _multiple_of_8(1280 * max(1.0, width))
        super().__init__(last, in_channels=in_channels, grey=grey)
        channels = _multiple_of_8(32 * width)
        layers: list[nn.Module] = [_unit(in_channels, channels, 3, stride=2)]
        for expansion, outputs, blocks, stride in _STAGES:
            outputs = _multiple_of_8(outputs * width)
            for at in range(blocks):
                layers.append(
                    _InvertedResidual(channels, outputs, stride if at == 0 else 1, expansion)
                )
                channels = outputs
        self.features = nn.Sequential(*layers, _unit(channels, last, 1))

    def _features(self, images: Tensor) -> Tensor:
        features: Tensor = self.features(images).mean((2, 3))
        return features

    def _initialise(self, generator: torch.Generator) -> None:
        initialise_convolutional(self, generator)


@final
class _InvertedResidual(nn.Module):
    """Expand by 1x1, filter each channel by 3x3, project by 1x1; add the input if it fits."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [] if expansion == 1 else [_unit(inputs, hidden, 1)]
        self.conv = nn.Sequential(
            *expand,
            _unit(hidden, hidden, 3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.adds else y


def _unit(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    conv = nn.Conv2d(
        inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6())


def _multiple_of_8(channels: float) -> int:
    """Return the nearest multiple of 8, but at least 8 and nine tenths of the number."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
