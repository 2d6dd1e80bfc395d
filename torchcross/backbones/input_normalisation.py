"""What happens to images before a backbone sees them; recorded in every predictor."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, final

import torch
from torch import Tensor, nn

from torchcross.errors import InputError, TorchcrossError


class MeanAndStd(Protocol):
    """A mean and a standard deviation per channel.

    `torchcross.data.augment.Normalise` and weight records have them.
    """

    @property
    def mean(self) -> Sequence[float]: ...

    @property
    def std(self) -> Sequence[float]: ...


@final
@dataclass(frozen=True)
class InputNormalisation:
    """Divides uint8 images by 255, then applies (x - mean) / std per channel.

    Without a mean and a std, floating images stay as they are. `left_alone`: uint8 images stay as
    they are too, because the backbone prepares its images itself, as the backbones of this library
    do.
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
    def before(backbone: nn.Module, normalise: MeanAndStd | None) -> InputNormalisation:
        """Return what must be done to images before this backbone."""
        normalises = getattr(backbone, "normalises", None)
        if normalise is None:
            return InputNormalisation(left_alone=normalises is not None)
        if normalises:
            raise InputError(
                "normalise= was given and the backbone normalises its images itself; leave"
                " normalise out, or load the weights with inside=False."
            )
        mean, std = (tuple(map(float, values)) for values in (normalise.mean, normalise.std))
        return InputNormalisation(mean, std)

    def __call__(self, images: Tensor, subject: str, like: Tensor) -> Tensor:
        """Return the images in the dtype and on the device of `like`; `subject` is their name."""
        if images.device != like.device:
            raise InputError(
                f"{subject} is on {images.device} and the model on {like.device}; move it with"
                " .to(...)."
            )
        is_uint8 = images.dtype == torch.uint8
        if self.left_alone and is_uint8:
            return images
        if not is_uint8 and not images.is_floating_point():
            raise InputError(
                f"{subject} is {images.dtype}; give uint8 images (0..255) or floating ones."
            )
        scaled = images.to(like.dtype)
        if is_uint8:
            scaled = scaled / 255
        if not self.mean:
            return scaled
        if images.ndim < 3 or images.shape[1] != len(self.mean):
            raise InputError(
                f"{subject} has the shape {tuple(images.shape)} and the normalisation"
                f" {len(self.mean)} channels; give images (N, {len(self.mean)}, H, W)."
            )
        shape = (-1, *[1] * (images.ndim - 2))
        mean, std = (like.new_tensor(values).view(shape) for values in (self.mean, self.std))
        return (scaled - mean) / std

    def describe(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "std": list(self.std), "left_alone": self.left_alone}


@contextmanager
def explain_refused_images(backbone: nn.Module, images: Tensor, name: str) -> Iterator[None]:
    """Say which images were given where the backbone fails on them."""
    try:
        yield
    except (TorchcrossError, torch.OutOfMemoryError):
        raise
    except RuntimeError as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(
            f"{name}: the backbone {type(backbone).__name__} cannot take images of the shape"
            f" {tuple(images.shape[1:])}: {reason} Give images of the size and channels it was"
            " built for, and a plain module of one dtype, not a scripted one."
        ) from error


def check_finite(images: Tensor, subject: str) -> None:
    """Refuse images with pixels that are NaN or infinite; `subject` is their name."""
    if not images.is_floating_point() or bool(torch.isfinite(images.sum())):
        return
    # A sum of finite numbers may overflow, so the pixels themselves decide.
    broken = ~torch.isfinite(images).reshape(len(images), -1).all(1)
    if bool(broken.any()):
        raise InputError(
            f"{subject} has NaN or infinite pixels in {int(broken.sum())} of {len(images)} images:"
            f" {image_numbers(broken.nonzero().flatten().tolist())}; repair or drop them."
        )


def image_numbers(positions: Sequence[int]) -> str:
    """`image 2`, `images 0, 2`, and the first ten of more."""
    shown = ", ".join(map(str, positions[:10]))
    return f"image{'s' * (len(positions) > 1)} {shown}{', ...' * (len(positions) > 10)}"
