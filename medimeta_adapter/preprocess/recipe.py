"""Steps in their order, as one function that can be written down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medimeta_adapter.preprocess.bits import refuse_lost_bits
from medimeta_adapter.preprocess.colour import RGB, DropAlpha, ExpandPalette, Grey
from medimeta_adapter.preprocess.geometry import CentreCropSquare, PadSquare, Resize, Upright
from medimeta_adapter.preprocess.pixels import pixels_of
from medimeta_adapter.preprocess.step import PreprocessingStep, Stage
from torchcross._kit.backgrounds import DEFAULT_BACKGROUND, Background
from torchcross.errors import InputError

_COLOURS = {1: Grey, 3: RGB}
_FITS = {"crop": CentreCropSquare, "pad": PadSquare}
# A colour step may be anywhere behind depth: it commutes with moving pixels about.
_FREE = Stage.COLOUR
_ORDER = ", ".join(stage.name.lower() for stage in Stage) + " (colour anywhere behind depth)"


@final
@dataclass(frozen=True)
class Recipe:
    """Steps applied one after the other.

    `repr` makes the recipe again, `describe()` says it in words.
    """

    steps: tuple[PreprocessingStep, ...]

    def __init__(self, steps: Iterable[PreprocessingStep]) -> None:
        object.__setattr__(self, "steps", tuple(steps))
        for step in self.steps:
            if not isinstance(step, PreprocessingStep):
                raise InputError(
                    f"{step!r} is no step of a recipe; give steps such as Grey() or Resize(224)"
                )
        _check_order(self.steps)

    def __call__(self, image: Image.Image | NDArray[Any]) -> NDArray[Any]:
        """Return an array: uint8 (H, W) behind Grey(), (H, W, 3) behind RGB()."""
        result: Any = image
        if isinstance(image, Image.Image):
            refuse_lost_bits(image)
        for step in self.steps:
            result = step(result) if step.stage <= Stage.PALETTE else step.apply(pixels_of(result))
        return np.ascontiguousarray(pixels_of(result))

    def describe(self) -> str:
        return ", ".join(step.describe() for step in self.steps)

    def for_masks(self) -> Recipe:
        """Return the same geometry for a mask of the image: nearest neighbours, same values."""
        geometry = (Stage.ORIENTATION, Stage.SQUARE, Stage.SIZE)
        return Recipe(
            replace(step, resample="nearest") if isinstance(step, Resize) else step
            for step in self.steps
            if step.stage in geometry
        )


def standard(
    size: int = 224,
    channels: int = 1,
    fit: Literal["crop", "pad"] = "crop",
    *,
    depth: PreprocessingStep | None = None,
    over: Background = DEFAULT_BACKGROUND,
) -> Recipe:
    """Return the steps of MedIMeta's own images.

    Upright, colours, transparent parts over the background `over` ("white", "grey" or "black"),
    square by centre crop or zeros, bicubic to `size`. `depth` is a scaling such
    as ScaleByBits(12) or Window(40, 400); without one, images of more than 8 bits are refused.
    """
    if channels not in _COLOURS:
        raise InputError(f"channels={channels!r}; the format has images of 1 channel or of 3")
    if fit not in _FITS:
        raise InputError(f"fit={fit!r} is unknown; choose 'crop' (centre) or 'pad' (zeros)")
    scaling = () if depth is None else (depth,)
    steps = (
        Upright(),
        ExpandPalette(),
        DropAlpha(over),
        *scaling,
        _COLOURS[channels](),
        _FITS[fit](),
        Resize(size),
    )
    return Recipe(steps)


def _check_order(steps: tuple[PreprocessingStep, ...]) -> None:
    fixed = [step for step in steps if step.stage is not _FREE]
    for earlier, later in pairwise(fixed):
        if earlier.stage == later.stage:
            raise InputError(
                f"{earlier} and {later} do the same part of the work; keep one of them"
            )
        if earlier.stage > later.stage:
            raise InputError(f"{later} must come before {earlier}; order: {_ORDER}")
    for earlier, later in combinations(steps, 2):
        if earlier.stage is _FREE and later.stage < _FREE:
            raise InputError(f"{later} must come before {earlier}; order: {_ORDER}")
