"""What happens to pixels before a backbone sees them; recorded in every predictor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from torchcross.errors import InputError, TorchcrossError

__all__ = ["MeanAndStd", "Pixels", "taking"]


class MeanAndStd(Protocol):
    """Anything with a mean and a standard deviation per channel:
    `torchcross.data.augment.Normalise`, a weight record.
    """

    @property
    def mean(self) -> Sequence[float]: ...

    @property
    def std(self) -> Sequence[float]: ...


@final
@dataclass(frozen=True)
class Pixels:
    """uint8 images are divided by 255, floating ones taken as they are; then (x - mean) / std per
    channel, where given.

    `left_alone`: nothing of that, because the backbone prepares its images itself, as those of this
    library do.
    """

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    left_alone: bool = False

    def __post_init__(self) -> None:
        good = len(self.mean) == len(self.std) and all(math.isfinite(m) for m in self.mean)
        if not good or not all(math.isfinite(s) and s > 0 for s in self.std):
            raise InputError(
                f"normalisation got the mean {self.mean} and std {self.std}; give one finite mean"
                " and one positive std per channel."
            )

    @staticmethod
    def before(backbone: nn.Module, normalise: MeanAndStd | None) -> Pixels:
        """What this backbone needs done to its images."""
        inside = getattr(backbone, "normalises", None)
        if normalise is None:
            return Pixels(left_alone=inside is not None)
        if inside:
            raise InputError(
                "normalise= was given and the backbone normalises its images itself; leave"
                " normalise out, or load the weights with inside=False."
            )
        return Pixels(tuple(map(float, normalise.mean)), tuple(map(float, normalise.std)))

    def __call__(self, images: Tensor, what: str, like: Tensor) -> Tensor:
        """The images as the backbone gets them, in the dtype and on the device of `like`."""
        if images.device != like.device:
            raise InputError(
                f"{what} is on {images.device} and the model on {like.device}; move it with"
                " .to(...)."
            )
        if self.left_alone and images.dtype == torch.uint8:
            return images
        if images.dtype == torch.uint8:
            scaled = images.to(like.dtype) / 255
        elif images.is_floating_point():
            scaled = images.to(like.dtype)
        else:
            raise InputError(
                f"{what} is {images.dtype}; give uint8 images (0..255) or floating ones."
            )
        if not self.mean:
            return scaled
        if images.ndim < 3 or images.shape[1] != len(self.mean):
            raise InputError(
                f"{what} has the shape {tuple(images.shape)} and the normalisation {len(self.mean)}"
                f" channels; give images (N, {len(self.mean)}, H, W)."
            )
        shape = (-1, *[1] * (images.ndim - 2))
        mean, std = (like.new_tensor(values).view(shape) for values in (self.mean, self.std))
        return (scaled - mean) / std

    def describe(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "std": list(self.std), "left_alone": self.left_alone}


@contextmanager
def taking(backbone: nn.Module, images: Tensor, name: str) -> Iterator[None]:
    """Say which images a backbone could not take, where it fails on them."""
    try:
        yield
    except (TorchcrossError, torch.OutOfMemoryError):
        raise
    except RuntimeError as error:
        told = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(
            f"{name}: the backbone {type(backbone).__name__} cannot take images of the shape"
            f" {tuple(images.shape[1:])}: {told} Give images of the size and channels it was built"
            " for, and a plain module of one dtype, not a scripted one."
        ) from error
