"""What every backbone has: features, a description, a record of weights, grey images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from torchcross._kit.argument_checks import check_choice, checked_int
from torchcross.backbones.initial_values import Seed, generator_of, materialise
from torchcross.backbones.record import WeightRecord, lists_for_tuples
from torchcross.backbones.sketch import is_sketching
from torchcross.errors import InputError

# What a colour backbone does with grey images: `"expand"` repeats the channel, None refuses.
Grey: TypeAlias = Literal["expand"] | None

B = TypeVar("B", bound="Backbone")


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone without its numbers: `build(spec)` makes it again, and a state dict fills it.

    name         of a constructor in `torchcross.backbones`
    options      its keyword arguments, without the seed
    weights      the record of the loaded weights, if any were loaded
    normalises   whether the backbone itself normalises its images, as the record says

    >>> from torchcross.backbones import BackboneSpec, build
    >>> build(BackboneSpec("conv4", {"channels": 8, "in_channels": 1})).num_features
    8
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: WeightRecord | None = None
    normalises: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values alone, as JSON has them."""
        return {
            "name": self.name,
            "options": lists_for_tuples(self.options),
            "weights": None if self.weights is None else self.weights.as_dict(),
            "normalises": self.normalises,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        known = {"name", "options", "weights", "normalises"}
        if not isinstance(values, Mapping) or not {"name"} <= set(values) <= known:
            raise InputError(
                "a description of a backbone has name, options, weights and normalises; got"
                f" {values!r}"
            )
        weights, options = values.get("weights"), values.get("options", {})
        normalises = values.get("normalises", False)
        if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
            raise InputError(f"the options of a backbone are names and values; got {options!r}")
        check_choice("normalises", normalises, (False, True))
        record = None if weights is None else WeightRecord.from_dict(weights)
        return cls(values["name"], dict(options), record, normalises)


class Backbone(nn.Module, ABC):
    """Images (N, C, H, W) to features (N, num_features).

    Floating images stay as they are; uint8 images are divided by 255. If `normalises` is true,
    images are in [0, 1] and the backbone applies the mean and standard deviation of its weights'
    record, after it has expanded grey images.
    """

    # Patterns of the entries that published weight files have beyond the backbone's own.
    classifier: tuple[str, ...] = ()

    # The side of the images, if the backbone is for images of one size alone.
    image_size: int | None = None

    _mean: Tensor | None
    _std: Tensor | None

    def __init__(self, num_features: int, *, in_channels: int, grey: Grey) -> None:
        super().__init__()
        self.num_features = num_features
        self.in_channels = checked_int("in_channels", in_channels)
        check_choice("grey", grey, (None, "expand"))
        if grey is not None and in_channels == 1:
            raise InputError(
                "grey='expand' is for colour backbones; this one has in_channels=1, so leave"
                " grey out"
            )
        self.grey = grey
        self.weights: WeightRecord | None = None
        self._described: tuple[str, dict[str, Any]] | None = None
        self.register_buffer("_mean", None, persistent=False)
        self.register_buffer("_std", None, persistent=False)

    @abstractmethod
    def _features(self, images: Tensor) -> Tensor:
        """Images (N, in_channels, H, W), as the weights want them, to (N, num_features)."""

    @abstractmethod
    def _initialise(self, generator: torch.Generator) -> None:
        """Draw every parameter and set every buffer; their memory is not initialised yet."""

    def forward(self, images: Tensor) -> Tensor:
        return self._features(self._prepare(images))

    @property
    def spec(self) -> BackboneSpec | None:
        """The serialisable description; None for a module of the user's own."""
        if self._described is None:
            return None
        name, options = self._described
        return BackboneSpec(name, dict(options), self.weights, self.normalises)

    def forget_description(self) -> None:
        """Have no `spec` any more: the layers are not those that it describes."""
        self._described = None

    @property
    def normalises(self) -> bool:
        return self._mean is not None

    @property
    def loadable(self) -> nn.Module:
        """The module whose names a weight file uses."""
        return self

    @property
    def label(self) -> str:
        """What error texts call it: its constructor, or its class."""
        return type(self).__name__ if self._described is None else self._described[0]

    def _prepare(self, images: Tensor) -> Tensor:
        if images.dim() != 4:
            raise InputError(
                f"{self.label} takes images (N, C, H, W); got the shape {tuple(images.shape)}"
            )
        channels = images.shape[1]
        if channels == 1 and self.in_channels > 1 and self.grey == "expand":
            images = images.expand(-1, self.in_channels, -1, -1)
        elif channels != self.in_channels:
            raise InputError(self._channels_message(channels))
        height, width = images.shape[2:]
        if self.image_size is not None and (height, width) != (self.image_size, self.image_size):
            raise InputError(
                f"{self.label} was built for image_size={self.image_size} and got {height} x"
                f" {width}; resize the images, or build it with their side"
            )
        images = self._as_floating(images)
        if self._mean is None or self._std is None:
            return images
        return (images - self._mean.to(images.dtype)) / self._std.to(images.dtype)

    def _as_floating(self, images: Tensor) -> Tensor:
        if images.is_floating_point():
            return images
        if images.dtype != torch.uint8:
            raise InputError(
                f"{self.label} takes floating or uint8 images; got {images.dtype}, so convert"
                " them first"
            )
        if self.weights is not None and self.weights.mean is not None and not self.normalises:
            raise InputError(
                f"{self.label} expects images that are normalised already (inside=False), and"
                " uint8 images are not; normalise them first, or load the weights with inside=True"
            )
        # A backbone without parameters takes the default type.
        return images.to(next(self.parameters(), torch.empty(0)).dtype) / 255

    def _channels_message(self, channels: int) -> str:
        advice = f"build it with in_channels={channels}, or convert the images"
        if channels == 1:
            advice = (
                "build it with grey='expand' to repeat the one channel of grey images, or with"
                " in_channels=1"
            )
        return (
            f"{self.label} takes {self.in_channels} channels and the images have {channels};"
            f" {advice}"
        )


def assemble(name: str, architecture: Callable[..., B], seed: Seed, **options: Any) -> B:
    """Build a backbone without touching a global generator, and describe it by its options."""
    generator = generator_of(seed)
    with torch.device("meta"):
        backbone = architecture(**options)
    describe(backbone, name, options)
    if is_sketching():
        return backbone
    materialise(backbone)
    backbone._initialise(generator)
    return backbone.to(torch.get_default_device())


def describe(backbone: Backbone, name: str, options: Mapping[str, Any]) -> None:
    backbone._described = (name, dict(options))


def attach(backbone: Backbone, record: WeightRecord | None, *, inside: bool) -> None:
    """Give a backbone its record, and its input normalisation if it is applied inside."""
    mean, std = (None, None) if record is None else (record.mean, record.std)
    if mean is not None and len(mean) != backbone.in_channels:
        raise InputError(
            f"the weights' normalisation has {len(mean)} channels and the backbone"
            f" {backbone.in_channels}; give mean and std of as many channels"
        )
    like = next(iter(backbone.parameters()), torch.empty(0))
    backbone._mean = backbone._std = None
    if inside and mean is not None and std is not None:
        backbone._mean, backbone._std = (
            like.new_tensor(values).view(-1, 1, 1) for values in (mean, std)
        )
    backbone.weights = record
