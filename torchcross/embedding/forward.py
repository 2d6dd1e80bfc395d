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

BLOCK: Final = 64
"""How many images are embedded together. It decides the last bits of features, and so is fixed."""
_FEW: Final = 2


@final
class BlockForward:
    """A backbone as it is now, in evaluation mode, whatever its mode is; it is not changed."""

    def __init__(self, backbone: nn.Module, normalise: MeanAndStd | None = None) -> None:
        self.preprocessing = InputNormalisation.before(backbone, normalise)
        self._network = Network(backbone, norm="frozen")
        self._state = self._network.state()
        self._layouts: dict[tuple[int, ...], bool] = {}
        tensors = chain(backbone.parameters(), backbone.buffers())
        floating = (value for value in tensors if value.is_floating_point())
        self._like = next(floating, torch.zeros(()))

    @property
    def device(self) -> torch.device:
        return self._like.device

    @torch.no_grad()
    def __call__(self, images: Tensor, subject: str) -> NDArray[np.float32]:
        """The features (n, D) of a block of images, as float32; `subject` names it in errors."""
        images = images.to(self._like.device, non_blocking=True)
        ready = self.preprocessing(images, subject, self._like)
        check_finite(ready, subject)
        with explain_refused_images(self._network.module, ready, subject):
            layout = self._layout_of(ready)
            output, _ = self._network.support(*self._state, ready, channels_last=layout)
        features: NDArray[np.float32] = self._checked_features(output, ready, subject).numpy()
        return features

    def _layout_of(self, images: Tensor) -> bool:
        """Whether channels may be last; a few images of each shape tell."""
        shape = tuple(images.shape[1:])
        if shape not in self._layouts:
            few = images[:_FEW]
            self._layouts[shape] = self._network.may_put_channels_last(*self._state, few)
        return self._layouts[shape]

    def _checked_features(self, output: object, images: Tensor, subject: str) -> Tensor:
        kind = type(self._network.module).__name__
        actual = f"a {type(output).__name__}"
        if isinstance(output, Tensor):
            if output.ndim == 2 and len(output) == len(images) and output.shape[1]:
                return output.float().cpu()
            actual = f"the shape {tuple(output.shape)}"
        raise InputError(
            f"{subject}: the backbone {kind} made {actual} of {len(images)} images; features are"
            " (N, D), with D of at least 1: end it with pooling and nn.Flatten()"
        )
