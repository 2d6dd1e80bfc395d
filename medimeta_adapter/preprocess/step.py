"""What all steps share: they take a PIL image or an array and return the same kind."""

from __future__ import annotations

import abc
from enum import IntEnum
from typing import Any, ClassVar, TypeVar, cast

from PIL import Image

from medimeta_adapter.preprocess.pixels import Pixels, pixels_of, to_pil

Picture = TypeVar("Picture", Image.Image, Pixels)


class Stage(IntEnum):
    """The order of steps in a recipe: a later step needs the earlier ones."""

    ORIENTATION = 0
    PALETTE = 1
    ALPHA = 2
    DEPTH = 3
    COLOUR = 4
    SQUARE = 5
    SIZE = 6


class PreprocessingStep(abc.ABC):
    """One named step of preprocessing: a frozen dataclass whose repr makes it again.

    `text` says it in words, with `{step.size}` for the step's attribute `size`.

    >>> from medimeta_adapter.preprocess import PreprocessingStep, ScaleByBits, Window
    >>> depth: dict[str, PreprocessingStep] = {"CT": Window(40, 400), "X-ray": ScaleByBits(12)}
    >>> {modality: step.describe() for modality, step in depth.items()}
    {'CT': 'window level 40 width 400', 'X-ray': '12 bits to 8'}
    """

    stage: ClassVar[Stage]
    text: ClassVar[str]

    def __call__(self, image: Picture) -> Picture:
        """Return the image after this step: PIL for PIL, array for array."""
        pixels = self.apply(pixels_of(image))
        result: Any = to_pil(pixels) if isinstance(image, Image.Image) else pixels
        return cast("Picture", result)

    @abc.abstractmethod
    def apply(self, pixels: Pixels) -> Pixels:
        """Return an array (H, W) or (H, W, channels) after this step."""

    def describe(self) -> str:
        """Return the step in words."""
        return self.text.format(step=self)
