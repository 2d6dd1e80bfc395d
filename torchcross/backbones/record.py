"""Where weights come from and which images they want; predictors are saved with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import torch
from torch import Tensor

from torchcross._kit.argument_checks import checked_int, checked_text
from torchcross.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# Keras's "caffe" mode takes 123.68, 116.779 and 103.939 of 255 from red, green and blue, and scales
# nothing.
KERAS_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
KERAS_STD = (1 / 255, 1 / 255, 1 / 255)
# EfficientNet-Lite takes (x - 127) / 128 of x from 0 to 255.
LITE_MEAN = (127 / 255, 127 / 255, 127 / 255)
LITE_STD = (128 / 255, 128 / 255, 128 / 255)


@dataclass(frozen=True, kw_only=True)
class WeightRecord:
    """One set of weights: its origin, and the images that it wants.

    name           a name for people
    source         where it comes from: the file's name, a publisher, a paper
    sha256         of the file, as hexadecimal digits (of an index and its parts, one after the
                   other, where weights are split)
    mean, std      per channel: the weights want (x - mean) / std of images x in [0, 1]; if both are
                   None, they want x
    input_size     height and width of the images that the weights were trained on, where known
    interpolation  how images were resized for them, where known
    licence        as the publisher states it, where known
    revision       the commit of the hub's repository, for weights from there
    dropped        entries of the file that were left out: its classifier, or those of `drop=`
    notes          other changes to the entries of the file
    """

    name: str
    source: str
    sha256: str
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    input_size: tuple[int, int] | None = None
    interpolation: str | None = None
    licence: str | None = None
    revision: str | None = None
    dropped: tuple[str, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        checked_text("name", self.name)
        checked_text("source", self.source)
        if len(self.sha256) != 64 or not set(self.sha256) <= set("0123456789abcdef"):
            raise InputError(f"sha256={self.sha256!r} is not 64 hexadecimal digits in lower case")
        mean, std = per_channel(self.mean, self.std)
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "std", std)
        if self.input_size is not None:
            height, width = self.input_size
            size = checked_int("input_size", height), checked_int("input_size", width)
            object.__setattr__(self, "input_size", size)
        for name in ("interpolation", "revision"):
            if (value := getattr(self, name)) is not None:
                checked_text(name, value)
        object.__setattr__(self, "dropped", tuple(self.dropped))
        object.__setattr__(self, "notes", tuple(self.notes))

    def normalise(self, images: Tensor) -> Tensor:
        """(x - mean) / std for images (N, C, H, W) in [0, 1], to apply outside the backbone."""
        if self.mean is None or self.std is None:
            return images
        mean, std = (
            torch.tensor(values, dtype=images.dtype, device=images.device).view(-1, 1, 1)
            for values in (self.mean, self.std)
        )
        return (images - mean) / std

    def as_dict(self) -> dict[str, Any]:
        known = {name: value for name, value in asdict(self).items() if value not in (None, ())}
        return lists_for_tuples(known)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The record that `as_dict` returned, also after a trip through JSON."""
        known = {field.name for field in fields(cls)}
        required = {"name", "source", "sha256"}
        if not isinstance(values, Mapping) or not required <= set(values) <= known:
            raise InputError(
                f"a weight record has {sorted(known)}, and needs name, source and sha256; got"
                f" {values!r}"
            )
        options: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        try:
            return cls(**options)
        except (TypeError, ValueError) as error:
            raise InputError(f"this is no weight record: {error}") from error


def lists_for_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as JSON returns them."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }


def per_channel(
    mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Return mean and standard deviation as tuples of one length, or None for both."""
    if mean is None and std is None:
        return None, None
    if mean is None or std is None or len(mean) != len(std) or not mean:
        raise InputError(f"mean={mean!r} and std={std!r} must have one number each per channel")
    means, stds = tuple(float(value) for value in mean), tuple(float(value) for value in std)
    if not all(map(math.isfinite, means)) or not all(0 < value < math.inf for value in stds):
        raise InputError(f"mean={means} must be finite, and std={stds} finite and above 0")
    return means, stds
