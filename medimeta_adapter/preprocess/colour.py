"""Palettes, alpha, and grey <-> RGB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from PIL import Image

from medimeta_adapter.preprocess.pixels import Pixels, array_text, refuse_alpha
from medimeta_adapter.preprocess.step import Picture, PreprocessingStep, Stage
from torchcross._kit.backgrounds import (
    BACKGROUNDS,
    DEFAULT_BACKGROUND,
    Background,
    background_value,
)
from torchcross.errors import InputError, UnscaledDepthError


@final
@dataclass(frozen=True)
class ExpandPalette(PreprocessingStep):
    """Palette images as the colours they show (RGB, or RGB and alpha); all others stay.

    >>> from PIL import Image
    >>> from medimeta_adapter.preprocess import ExpandPalette
    >>> ExpandPalette()(Image.new("P", (2, 2))).mode
    'RGB'
    """

    stage: ClassVar[Stage] = Stage.PALETTE
    text: ClassVar[str] = "palette to colours"

    def __call__(self, image: Picture) -> Picture:
        if isinstance(image, Image.Image) and image.mode in ("P", "PA"):
            return image.convert("RGBA" if image.has_transparency_data else "RGB")
        return image

    def apply(self, pixels: Pixels) -> Pixels:
        return pixels


@final
@dataclass(frozen=True)
class DropAlpha(PreprocessingStep):
    """The picture over a plain background: alpha * colour + (1 - alpha) * background.

    >>> from PIL import Image
    >>> from medimeta_adapter.preprocess import DropAlpha
    >>> DropAlpha()(Image.new("RGBA", (2, 2))).getpixel((0, 0))
    (255, 255, 255)
    """

    over: Background = DEFAULT_BACKGROUND

    stage: ClassVar[Stage] = Stage.ALPHA
    text: ClassVar[str] = "alpha over {step.over}"

    def __post_init__(self) -> None:
        if self.over not in BACKGROUNDS:
            raise InputError(
                f"over={self.over!r} is no background; give {', '.join(map(repr, BACKGROUNDS))}"
            )

    def apply(self, pixels: Pixels) -> Pixels:
        if pixels.ndim == 2 or pixels.shape[2] == 3:
            return pixels
        if pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
            raise InputError(
                f"alpha of an image {array_text(pixels)} has no known range; give uint8 or uint16"
            )
        most = int(np.iinfo(pixels.dtype).max)
        colour, alpha = pixels[:, :, :-1].astype(np.uint64), pixels[:, :, -1:].astype(np.uint64)
        background = background_value(self.over, most)
        mixed = ((colour * alpha + background * (most - alpha) + most // 2) // most).astype(
            pixels.dtype
        )
        return mixed[:, :, 0] if mixed.shape[2] == 1 else mixed


@final
@dataclass(frozen=True)
class Grey(PreprocessingStep):
    """One channel: ITU-R BT.601 luma of RGB, 299/1000 R + 587/1000 G + 114/1000 B.

    A boolean mask becomes 0 and 255.
    """

    stage: ClassVar[Stage] = Stage.COLOUR
    text: ClassVar[str] = "grey"

    def apply(self, pixels: Pixels) -> Pixels:
        pixels = _eight_bits(pixels, "Grey()")
        if pixels.ndim == 2:
            return pixels
        return np.asarray(Image.fromarray(pixels).convert("L"))


@final
@dataclass(frozen=True)
class RGB(PreprocessingStep):
    """Three channels: a grey picture's value in each.

    >>> from PIL import Image
    >>> from medimeta_adapter.preprocess import RGB
    >>> RGB()(Image.new("L", (2, 2))).mode
    'RGB'
    """

    stage: ClassVar[Stage] = Stage.COLOUR
    text: ClassVar[str] = "RGB"

    def apply(self, pixels: Pixels) -> Pixels:
        pixels = _eight_bits(pixels, "RGB()")
        return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def _eight_bits(pixels: Pixels, who: str) -> Pixels:
    refuse_alpha(pixels, who)
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype != np.uint8:
        raise UnscaledDepthError(
            f"{who} got an image {array_text(pixels)}, of more than 8 bits; put ScaleByBits,"
            " ScaleByRange, ScaleByPercentile or Window before it: depth=... (--bits or --window),"
            " so that the scaling is a choice",
            (pixels.min().item(), pixels.max().item()),
        )
    return pixels
