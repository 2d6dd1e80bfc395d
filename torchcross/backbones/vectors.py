"""Vectors as they are: the backbone for features that were computed before."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from torchcross._kit.argument_checks import checked_int
from torchcross.backbones.base import Backbone, assemble
from torchcross.backbones.initial_values import Seed
from torchcross.errors import InputError


def vectors(num_features: int, *, seed: Seed = 0) -> VectorsNet:
    """Returns vectors (N, num_features) as they are: the images of a `FeatureSource`.

    Every algorithm takes it as its backbone; nothing is normalised, and nothing can move. `seed`
    has no effect.
    """
    return assemble("vectors", VectorsNet, seed, num_features=num_features)


@final
class VectorsNet(Backbone):
    def __init__(self, *, num_features: int) -> None:
        super().__init__(checked_int("num_features", num_features), in_channels=1, grey=None)
        # It has no parameters, and algorithms ask where a backbone is.
        self.register_buffer("_place", torch.zeros(()), persistent=False)

    def _prepare(self, images: Tensor) -> Tensor:
        if images.dim() != 2 or images.shape[1] != self.num_features:
            raise InputError(
                f"vectors takes stored features (N, {self.num_features}); got the shape"
                f" {tuple(images.shape)}. Give the episodes of a FeatureSource, and"
                " backbones.vectors(source.width)"
            )
        if not images.is_floating_point():
            raise InputError(
                f"vectors takes floating features; got {images.dtype}, so convert them first"
            )
        return images

    def _features(self, images: Tensor) -> Tensor:
        # A new tensor: nothing that is done to features may reach what is stored.
        return images.view_as(images)

    def _initialise(self, generator: torch.Generator) -> None:
        place = self.get_buffer("_place")
        place.zero_()
