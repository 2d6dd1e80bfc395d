"""From a block of images to their features: the one function that computes features."""

from __future__ import annotations

from itertools import chain
from typing import Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torchcross.backbones.input_normalisation import (
    InputNormalisation,
    MeanAndStd,
    check_finite,
    explain_refused_images,
)
from torchcross.errors import InputError
from torchcross.functional import Network
from torchcross.functional.network.plain_copy import plain_copy

BLOCK: Final = 64
"""How many images are embedded together. It decides the last bits of features, and so is fixed."""


@final
class BlockForward:
    """A backbone as it is now, in evaluation mode, whatever its mode is; it is not changed."""

    def __init__(self, backbone: nn.Module, normalise: MeanAndStd | None = None) -> None:
        self.preprocessing = InputNormalisation.before(backbone, normalise)
        self._kind = type(backbone).__name__
        network = Network(backbone, norm="frozen")
        # Torch's own layers, which are as fast as the backbone alone: nothing is differentiated.
        self._module = plain_copy(backbone, network.policy, *network.state(), {}, step=0)
        tensors = chain(backbone.parameters(), backbone.buffers())
        floating = (value for value in tensors if value.is_floating_point())
        self._like = next(floating, torch.zeros(()))

    @property
    def device(self) -> torch.device:
        return self._like.device

    @torch.no_grad()
    def __call__(self, images: Tensor, subject: str) -> NDArray[np.float32]:
        """The features (n, D) of a block of images, as float32; `subject` names it in errors."""
        images = images.to(self.device, non_blocking=True)
        ready = self.preprocessing(images, subject, self._like)
        check_finite(ready, subject)
        # The caller's precision is no part of what features are known by.
        in_full = torch.autocast(self.device.type, enabled=False)
        with in_full, explain_refused_images(self._module, ready, subject):
            output = self._module(ready)
        features: NDArray[np.float32] = self._checked_features(output, ready, subject).numpy()
        return features

    def _checked_features(self, output: object, images: Tensor, subject: str) -> Tensor:
        actual = f"a {type(output).__name__}"
        if isinstance(output, Tensor):
            if output.ndim == 2 and len(output) == len(images) and output.shape[1]:
                return output.float().cpu()
            actual = f"the shape {tuple(output.shape)}"
        raise InputError(
            f"{subject}: the backbone {self._kind} made {actual} of {len(images)} images; features"
            " are (N, D), with D of at least 1: end it with pooling and nn.Flatten()"
        )
