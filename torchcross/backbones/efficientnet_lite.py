"""EfficientNet-Lite0 (Tan and Le 2019, without squeeze-and-excitation) under its converted names.

Its published weights were trained in TensorFlow: convolutions with a stride pad as TensorFlow does,
more on the right and below, and norms have TensorFlow's epsilon.
"""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchcross.backbones.base import Backbone, Grey, assemble
from torchcross.backbones.initial_values import Seed, initialise_convolutional

# Table 1 of the paper: expansion, channels, blocks, stride of the first block, kernel.
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_FIRST, _LAST = 32, 1280
_EPS = 1e-3


def efficientnet_lite0(*, in_channels: int = 3, grey: Grey = None, seed: Seed = 0) -> Backbone:
    """EfficientNet-Lite0, 1280 features.

    >>> from torchcross.backbones import efficientnet_lite0
    >>> efficientnet_lite0().num_features
    1280
    """
    return assemble(
        "efficientnet_lite0", EfficientNetLite, seed, in_channels=in_channels, grey=grey
    )


@final
class EfficientNetLite(Backbone):
    classifier = ("_fc.*",)

    def __init__(self, *, in_channels: int, grey: Grey) -> None:
        super().__init__(_LAST, in_channels=in_channels, grey=grey)
        self._pad = _SamePadding(3, 2)
        self._conv_stem = _convolution(in_channels, _FIRST, 3, stride=2)
        self._bn0 = _norm(_FIRST)
        blocks: list[nn.Module] = []
        channels = _FIRST
        for expansion, outputs, count, stride, kernel in _STAGES:
            for at in range(count):
                blocks.append(
                    _Block(channels, outputs, kernel, stride if at == 0 else 1, expansion)
                )
                channels = outputs
        self._blocks = nn.Sequential(*blocks)
        self._conv_head = _convolution(channels, _LAST, 1)
        self._bn1 = _norm(_LAST)

    def _features(self, images: Tensor) -> Tensor:
        x = F.relu6(self._bn0(self._conv_stem(self._pad(images))))
        features: Tensor = F.relu6(self._bn1(self._conv_head(self._blocks(x))))
        return features.mean((2, 3))

    def _initialise(self, generator: torch.Generator) -> None:
        initialise_convolutional(self, generator)


@final
class _Block(nn.Module):
    """Expand by 1x1, filter each channel, project by 1x1; add the input if it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = _convolution(inputs, hidden, 1)
            self._bn0 = _norm(hidden)
        self._pad = _SamePadding(kernel, stride)
        self._depthwise_conv = _convolution(hidden, hidden, kernel, stride=stride, groups=hidden)
        self._bn1 = _norm(hidden)
        self._project_conv = _convolution(hidden, outputs, 1)
        self._bn2 = _norm(outputs)
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(self._pad(y))))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds else y


@final
class _SamePadding(nn.Module):
    """Zeros around images, so that a convolution with a stride has ceil(side / stride) pixels."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        height, width = (
            max(self.kernel - self.stride + -side % self.stride, 0) for side in x.shape[-2:]
        )
        return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}"


def _convolution(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPS, momentum=0.01)
