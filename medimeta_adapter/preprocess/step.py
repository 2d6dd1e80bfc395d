"""What all steps share: they take a PIL image or an array and give back the same kind."""

from __future__ import annotations

import abc
from enum import IntEnum
from typing import Any, ClassVar, TypeVar, cast

from PIL import Image

from medimeta_adapter.preprocess.pixels import Pixels, from_pixels, pixels_of

__all__ = ["PreprocessingStep", "Stage"]

Picture = TypeVar("Picture", Image.Image, Pixels)


class Stage(IntEnum):
    """The order of steps in a recipe: what stands later needs what stands earlier."""

    ORIENTATION = 0
    PALETTE = 1
    ALPHA = 2
    DEPTH = 3
    COLOUR = 4
    SQUARE = 5
    SIZE = 6


class PreprocessingStep(abc.ABC):
    """One named step; a frozen dataclass whose repr makes it again."""

    stage: ClassVar[Stage]

    def __call__(self, image: Picture) -> Picture:
        """The image after this step: PIL for PIL, array for array."""
        pixels = self.apply(pixels_of(image))
        result: Any = from_pixels(pixels) if isinstance(image, Image.Image) else pixels
        return cast("Picture", result)

    @abc.abstractmethod
    def apply(self, pixels: Pixels) -> Pixels:
        """The step on an array (H, W) or (H, W, channels)."""

    @abc.abstractmethod
    def describe(self) -> str:
        """The step in words."""
