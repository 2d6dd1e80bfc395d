"""Geometry: the right way up, square, and of one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import numpy as np
from PIL import Image, ImageOps

from medimeta_adapter.preprocess.pixels import Pixels, array_text, refuse_alpha
from medimeta_adapter.preprocess.step import Picture, PreprocessingStep, Stage
from torchcross.errors import InputError

# Pixels that any image may have with its margins; of a larger one, a quarter must be picture.
_MOST_PADDED = 1 << 26
_FILTERS = {"bicubic": Image.Resampling.BICUBIC, "nearest": Image.Resampling.NEAREST}


@final
@dataclass(frozen=True)
class Upright(PreprocessingStep):
    """Turned and mirrored as the camera's EXIF orientation says; arrays have none and stay.

    >>> from PIL import Image
    >>> from medimeta_adapter.preprocess import Upright
    >>> Upright()(Image.new("L", (4, 2))).size
    (4, 2)
    """

    stage: ClassVar[Stage] = Stage.ORIENTATION
    text: ClassVar[str] = "upright"

    def __call__(self, image: Picture) -> Picture:
        return ImageOps.exif_transpose(image) if isinstance(image, Image.Image) else image

    def apply(self, pixels: Pixels) -> Pixels:
        return pixels


@final
@dataclass(frozen=True)
class CentreCropSquare(PreprocessingStep):
    """The square in the middle, as large as the shorter side."""

    stage: ClassVar[Stage] = Stage.SQUARE
    text: ClassVar[str] = "centre crop to square"

    def apply(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return pixels[top : top + side, left : left + side]


@final
@dataclass(frozen=True)
class PadSquare(PreprocessingStep):
    """Zeros on both sides, as large as the longer side.

    Images that would become hardly anything but margin are refused.

    >>> from PIL import Image
    >>> from medimeta_adapter.preprocess import PadSquare
    >>> PadSquare()(Image.new("L", (4, 2))).size
    (4, 4)
    """

    stage: ClassVar[Stage] = Stage.SQUARE
    text: ClassVar[str] = "zero pad to square"

    def apply(self, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        side = max(height, width)
        if side * side > max(_MOST_PADDED, 4 * height * width):
            raise InputError(
                f"an image of {height} x {width} would become {side} x {side}, nearly all of it"
                " margin; crop it first, or take the centre square: fit='crop' (--fit crop)"
            )
        top, left = (side - height) // 2, (side - width) // 2
        padded = np.zeros((side, side, *pixels.shape[2:]), pixels.dtype)
        padded[top : top + height, left : left + width] = pixels
        return padded


@final
@dataclass(frozen=True)
class Resize(PreprocessingStep):
    """To `size` x `size`, or (height, width): antialiased bicubic, or nearest for masks."""

    size: int | tuple[int, int]
    resample: Literal["bicubic", "nearest"] = "bicubic"

    stage: ClassVar[Stage] = Stage.SIZE
    text: ClassVar[str] = "{step.resample} to {step.shape[0]} x {step.shape[1]}"

    def __post_init__(self) -> None:
        sides = self.size if isinstance(self.size, tuple) else (self.size,)
        if len(sides) not in (1, 2) or any(
            isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in sides
        ):
            raise InputError(f"size={self.size!r} is no size; give pixels, or (height, width)")
        if self.resample not in _FILTERS:
            raise InputError(
                f"resample={self.resample!r} is unknown; choose from {sorted(_FILTERS)}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        return self.size if isinstance(self.size, tuple) else (self.size, self.size)

    def apply(self, pixels: Pixels) -> Pixels:
        refuse_alpha(pixels, "Resize")
        if pixels.shape[:2] == self.shape:
            return pixels
        if self.resample == "nearest":
            return _resize_nearest(pixels, self.shape)
        if pixels.dtype == np.bool_:
            raise InputError(
                "a boolean mask has no values between no and yes; use Resize(size,"
                " resample='nearest')"
            )
        if pixels.dtype == np.uint8:
            return self._by_pillow(pixels)
        planes = pixels[:, :, None] if pixels.ndim == 2 else pixels
        resized = np.stack(
            [self._by_pillow(plane.astype(np.float32)) for plane in np.moveaxis(planes, 2, 0)],
            axis=2,
        )
        return _round_to(resized.reshape(*self.shape, *pixels.shape[2:]), pixels.dtype)

    def _by_pillow(self, pixels: Pixels) -> Pixels:
        height, width = self.shape
        return np.asarray(Image.fromarray(pixels).resize((width, height), _FILTERS[self.resample]))


def _resize_nearest(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """Return Pillow's nearest neighbours for any dtype: Pillow resizes the row numbers instead."""
    rows, columns = map(_nearest_places, pixels.shape[:2], shape)
    return np.asarray(pixels[rows][:, columns])


def _nearest_places(old: int, new: int) -> Pixels:
    line = Image.fromarray(np.arange(old, dtype=np.int32)[None])
    return np.asarray(line.resize((new, 1), Image.Resampling.NEAREST)).reshape(new)


def _round_to(values: Pixels, dtype: np.dtype[Any]) -> Pixels:
    if dtype.kind == "f":
        return np.asarray(values, dtype)
    if dtype.itemsize > 2:
        raise InputError(
            f"an image {array_text(values)} of {dtype} cannot be resized exactly; scale it to 8"
            " bits first"
        )
    bounds = np.iinfo(dtype.name)
    rounded: Pixels = np.rint(values).clip(bounds.min, bounds.max).astype(dtype)
    return rounded
