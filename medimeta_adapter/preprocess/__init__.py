"""Images to one size, channels and depth, in named steps that can be written down."""

from __future__ import annotations

from medimeta_adapter.preprocess.colour import RGB, DropAlpha, ExpandPalette, Grey
from medimeta_adapter.preprocess.depth import ScaleByBits, ScaleByPercentile, ScaleByRange, Window
from medimeta_adapter.preprocess.geometry import CentreCropSquare, PadSquare, Resize, Upright
from medimeta_adapter.preprocess.recipe import Recipe, standard
from medimeta_adapter.preprocess.step import PreprocessingStep
from medimeta_adapter.preprocess.volume import centred_slices, window

__all__ = [
    "RGB",
    "CentreCropSquare",
    "DropAlpha",
    "ExpandPalette",
    "Grey",
    "PadSquare",
    "PreprocessingStep",
    "Recipe",
    "Resize",
    "ScaleByBits",
    "ScaleByPercentile",
    "ScaleByRange",
    "Upright",
    "Window",
    "centred_slices",
    "standard",
    "window",
]
