"""What every backbone is: images to features, a description, its weights' record and its choice for
grey images.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from torchcross._kit.argument_checks import check_choice, checked_int
from torchcross.backbones.initial_values import Seed, generator_of, materialise
from torchcross.backbones.record import WeightRecord
from torchcross.errors import InputError

Grey: TypeAlias = Literal["expand"] | None
"""What a colour backbone does with grey images: `"expand"` repeats their one channel, None refuses
them.
"""

B = TypeVar("B", bound="Backbone")


@dataclass(frozen=True)
class BackboneSpec:
    """A backbone without its numbers: `build(spec)` makes it again, and a state dict fills it.

    name         of a constructor in `torchcross.backbones`
    options      its keyword arguments, without the seed
    weights      the record of what was loaded, if anything was
    normalises   whether the backbone itself normalises its images, as the record says
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: WeightRecord | None = None
    normalises: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values alone, as JSON has them."""
        weights = None if self.weights is None else self.weights.as_dict()
        options = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.options.items()
        }
        return {
            "name": self.name,
            "options": options,
            "weights": weights,
            "normalises": self.normalises,
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> Self:
        if not isinstance(given, Mapping) or not {"name"} <= set(given) <= {
            "name",
            "options",
            "weights",
            "normalises",
        }:
            raise InputError(
                "a description of a backbone has name, options, weights and normalises; got"
                f" {given!r}"
            )
        weights, options = given.get("weights"), given.get("options", {})
        if not isinstance(options, Mapping) or not all(isinstance(name, str) for name in options):
            raise InputError(f"the options of a backbone are names and values; got {options!r}")
        check_choice("normalises", given.get("normalises", False), (False, True))
        return cls(
            given["name"],
            dict(options),
            None if weights is None else WeightRecord.from_dict(weights),
            given.get("normalises", False),
        )


class Backbone(nn.Module, ABC):
    """Images (N, C, H, W) to features (N, num_features).

    Floating images are taken as they are; uint8 images are divided by 255. Where `normalises` is
    true, images are in [0, 1] and the backbone applies the mean and standard deviation of its
    weights' record, after grey images were expanded.
    """

    classifier: tuple[str, ...] = ()
    """Entries that published weight files have beyond the backbone's own, as patterns."""

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
        """Images (N, in_channels, H, W), as the weights want them, to features (N,
        num_features).
        """

    @abstractmethod
    def _initialise(self, generator: torch.Generator) -> None:
        """Draw every parameter and set every buffer; their memory holds anything before."""

    def forward(self, images: Tensor) -> Tensor:
        return self._features(self._prepared(images))

    @property
    def spec(self) -> BackboneSpec | None:
        """The serialisable description; None for a module of the user's own."""
        if self._described is None:
            return None
        name, options = self._described
        return BackboneSpec(name, dict(options), self.weights, self.normalises)

    @property
    def normalises(self) -> bool:
        return self._mean is not None

    @property
    def loadable(self) -> nn.Module:
        """The module whose names a weight file uses."""
        return self

    def _prepared(self, images: Tensor) -> Tensor:
        if images.dim() != 4:
            raise InputError(
                f"{self._named()} takes images (N, C, H, W); got the shape {tuple(images.shape)}"
            )
        channels = images.shape[1]
        if channels == 1 and self.in_channels > 1 and self.grey == "expand":
            images = images.expand(-1, self.in_channels, -1, -1)
        elif channels != self.in_channels:
            raise InputError(self._wrong_channels(channels))
        images = self._floating(images)
        if self._mean is None or self._std is None:
            return images
        return (images - self._mean.to(images.dtype)) / self._std.to(images.dtype)

    def _floating(self, images: Tensor) -> Tensor:
        if images.is_floating_point():
            return images
        if images.dtype != torch.uint8:
            raise InputError(
                f"{self._named()} takes floating or uint8 images; got {images.dtype}, so convert"
                " them first"
            )
        if self.weights is not None and self.weights.mean is not None and not self.normalises:
            raise InputError(
                f"{self._named()} was told that its images come normalised (inside=False), and"
                " uint8 images are not; normalise them first, or load the weights with inside=True"
            )
        return images.to(next(self.parameters()).dtype) / 255

    def _wrong_channels(self, channels: int) -> str:
        if channels == 1:
            advice = (
                "build it with grey='expand' to repeat the one channel of grey images, or with"
                " in_channels=1"
            )
        else:
            advice = f"build it with in_channels={channels}, or convert the images"
        return (
            f"{self._named()} takes {self.in_channels} channels and the images have {channels};"
            f" {advice}"
        )

    def _named(self) -> str:
        return type(self).__name__ if self._described is None else self._described[0]


def assemble(name: str, architecture: Callable[..., B], seed: Seed, **options: Any) -> B:
    """Build a backbone without touching a global generator, and describe it by its options."""
    generator = generator_of(seed)
    with torch.device("meta"):
        backbone = architecture(**options)
    materialise(backbone)
    backbone._initialise(generator)
    describe(backbone, name, options)
    return backbone.to(torch.get_default_device())


def describe(backbone: Backbone, name: str, options: Mapping[str, Any]) -> None:
    backbone._described = (name, dict(options))


def attach(backbone: Backbone, record: WeightRecord | None, *, inside: bool) -> None:
    """Give a backbone its record, and its input normalisation where it is applied inside."""
    mean, std = (None, None) if record is None else (record.mean, record.std)
    if mean is not None and len(mean) != backbone.in_channels:
        raise InputError(
            f"the weights' normalisation has {len(mean)} channels and the backbone"
            f" {backbone.in_channels}; give mean and std of as many channels"
        )
    like: Tensor = next(iter(backbone.parameters()), nn.Parameter(torch.empty(0)))
    for slot, values in (("_mean", mean), ("_std", std)):
        value = None
        if inside and values is not None:
            value = torch.tensor(values, dtype=like.dtype, device=like.device).view(-1, 1, 1)
        setattr(backbone, slot, value)
    backbone.weights = record
