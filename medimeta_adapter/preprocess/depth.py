"""Scaling to 8 bits of images with more bits, or with values in a unit: each way by its name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from medimeta_adapter.preprocess.pixels import Pixels, array_text, refuse_alpha, scale_to_bytes
from medimeta_adapter.preprocess.step import PreprocessingStep, Stage
from torchcross.errors import InputError


@final
@dataclass(frozen=True)
class ScaleByBits(PreprocessingStep):
    """round(255 v / (2^bits - 1)), the same for every image of a device; 8-bit images stay.

    >>> from medimeta_adapter.preprocess import ScaleByBits
    >>> np.asarray(ScaleByBits(12)(np.array([[0, 4095]], dtype=np.uint16)))
    array([[  0, 255]], dtype=uint8)
    """

    bits: int = 16

    stage: ClassVar[Stage] = Stage.DEPTH
    text: ClassVar[str] = "{step.bits} bits to 8"

    def __post_init__(self) -> None:
        if (
            isinstance(self.bits, bool)
            or not isinstance(self.bits, int)
            or not 8 <= self.bits <= 16
        ):
            raise InputError(f"bits={self.bits!r} is no depth of an image; give 8 to 16")

    def apply(self, pixels: Pixels) -> Pixels:
        if pixels.dtype in (np.uint8, np.bool_):
            return pixels
        if pixels.dtype.kind == "f":
            raise InputError(
                f"an image {array_text(pixels)} has no bits to scale by; use ScaleByRange"
            )
        most = (1 << self.bits) - 1
        low, high = int(pixels.min()), int(pixels.max())
        if low < 0 or high > most:
            raise InputError(
                f"pixels are in {low}..{high}, {self.bits} bits hold 0..{most}; give the device's"
                " bits (--bits), or use ScaleByRange, or Window (--window)"
            )
        return scale_to_bytes(pixels, 0, most)


@final
@dataclass(frozen=True)
class ScaleByRange(PreprocessingStep):
    """low..high -> 0..255, clipped; without numbers each image's own least and greatest value.

    >>> from medimeta_adapter.preprocess import ScaleByRange
    >>> temperatures = np.array([[20.0, 36.0, 52.0]])
    >>> np.asarray(ScaleByRange(20, 40)(temperatures))
    array([[  0, 204, 255]], dtype=uint8)
    """

    low: float | None = None
    high: float | None = None

    stage: ClassVar[Stage] = Stage.DEPTH

    def __post_init__(self) -> None:
        low, high = self.low, self.high
        if low is None and high is None:
            return
        if low is None or high is None or not -math.inf < low < high < math.inf:
            raise InputError(
                f"{self!r} is no range; give two finite numbers, low below high, or none"
            )

    def apply(self, pixels: Pixels) -> Pixels:
        refuse_alpha(pixels, "ScaleByRange")
        low = float(pixels.min()) if self.low is None else self.low
        high = float(pixels.max()) if self.high is None else self.high
        return scale_to_bytes(pixels, low, high)

    def describe(self) -> str:
        if self.low is None:
            return "own range to 8 bits"
        return f"range {self.low:g} to {self.high:g} to 8 bits"


@final
@dataclass(frozen=True)
class ScaleByPercentile(PreprocessingStep):
    """Each image's own percentiles -> 0 and 255, clipped: a few extreme pixels cost no contrast.

    >>> from medimeta_adapter.preprocess import ScaleByPercentile
    >>> np.asarray(ScaleByPercentile(0, 100)(np.array([[0, 50, 100]], dtype=np.uint16)))
    array([[  0, 128, 255]], dtype=uint8)
    """

    low: float = 0.5
    high: float = 99.5

    stage: ClassVar[Stage] = Stage.DEPTH
    text: ClassVar[str] = "percentiles {step.low:g} to {step.high:g} to 8 bits"

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 100:
            raise InputError(f"{self!r} are no percentiles; give 0 <= low < high <= 100")

    def apply(self, pixels: Pixels) -> Pixels:
        refuse_alpha(pixels, "ScaleByPercentile")
        values = pixels.astype(np.float64)
        low, high = np.percentile(values, [self.low, self.high])
        return scale_to_bytes(values, float(low), float(high))


@final
@dataclass(frozen=True)
class Window(PreprocessingStep):
    """Level - width/2 .. level + width/2 -> 0..255, clipped (DICOM's LINEAR_EXACT).

    Window(40, 400) is usual for soft tissue in CT.
    """

    level: float
    width: float

    stage: ClassVar[Stage] = Stage.DEPTH
    text: ClassVar[str] = "window level {step.level:g} width {step.width:g}"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.level) and math.isfinite(self.width) and self.width > 0):
            raise InputError(
                f"{self!r} is no window; give a finite level and a width above 0, in the image's"
                " unit"
            )

    @property
    def bounds(self) -> tuple[float, float]:
        return self.level - self.width / 2, self.level + self.width / 2

    def apply(self, pixels: Pixels) -> Pixels:
        refuse_alpha(pixels, "Window")
        return scale_to_bytes(pixels, *self.bounds)
