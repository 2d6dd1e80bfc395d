"""Eight global statistics of an image: what a picture looks like, and not what it shows."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from torchcross.backbones.base import Backbone, Grey, assemble
from torchcross.backbones.initial_values import Seed

STATISTICS = (
    "mean",
    "standard deviation",
    "skewness",
    "kurtosis",
    "fine edges",
    "coarse edges",
    "colourfulness",
    "warmth",
)
"""What the features are, in order. Those of colour are 0 for images of one channel."""

_COARSE = 4
# Keeps roots away from 0, where they have no derivative, and ratios away from 0 / 0.
_TINY = 1e-8


def image_statistics(
    *, in_channels: int = 3, grey: Grey = None, seed: Seed = 0
) -> ImageStatisticsNet:
    """Eight global statistics of an image, as features without a learned part.

    Moments of the intensity (the mean over channels): mean, standard deviation, skewness,
    kurtosis. Edges: the root mean square difference of neighbouring pixels, in the image and in
    its means over 4 x 4 pixels. Colour: the mean standard deviation over channels, and the mean of
    the first channel minus that of the last. BatchNorm without weights brings them to one scale;
    under the policy "support" it takes the scale from the support set. `seed` has no effect.
    """
    return assemble(
        "image_statistics", ImageStatisticsNet, seed, in_channels=in_channels, grey=grey
    )


@final
class ImageStatisticsNet(Backbone):
    def __init__(self, *, in_channels: int, grey: Grey) -> None:
        super().__init__(len(STATISTICS), in_channels=in_channels, grey=grey)
        # Statistics differ by powers of ten, and their variances by twice as many.
        self.norm = nn.BatchNorm1d(len(STATISTICS), eps=_TINY, affine=False)

    def _features(self, images: Tensor) -> Tensor:
        features: Tensor = self.norm(_statistics(images))
        return features

    def _initialise(self, generator: torch.Generator) -> None:
        self.norm.reset_running_stats()


def _statistics(images: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, 8), in the order of `STATISTICS`."""
    intensity = images.mean(1)
    mean = intensity.mean((1, 2))
    away = intensity - mean[:, None, None]
    deviation = (away.square().mean((1, 2)) + _TINY).sqrt()
    standard = away / deviation[:, None, None]
    channel_means = images.mean((2, 3))
    colourfulness = (images - intensity[:, None]).square().mean(1) + _TINY
    return torch.stack(
        [
            mean,
            deviation,
            standard.pow(3).mean((1, 2)),
            standard.pow(4).mean((1, 2)),
            _edge_energy(intensity),
            _edge_energy(_means_of_blocks(intensity)),
            colourfulness.sqrt().mean((1, 2)),
            channel_means[:, 0] - channel_means[:, -1],
        ],
        1,
    )


def _edge_energy(intensity: Tensor) -> Tensor:
    """Return the root mean square difference of neighbours; an image of one pixel has none."""
    # Not `diff`, which ONNX does not have.
    down = (intensity[:, 1:] - intensity[:, :-1]).square()
    across = (intensity[:, :, 1:] - intensity[:, :, :-1]).square()
    count = max(down[0].numel() + across[0].numel(), 1)
    return ((down.sum((1, 2)) + across.sum((1, 2))) / count + _TINY).sqrt()


def _means_of_blocks(intensity: Tensor) -> Tensor:
    return F.avg_pool2d(intensity[:, None], _COARSE, ceil_mode=True)[:, 0]
