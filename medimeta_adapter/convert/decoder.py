"""From a row of a source to an image of the dataset."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medimeta_adapter.convert.options import Options
from medimeta_adapter.convert.rows import Pixels, Row, Rows, is_grey
from medimeta_adapter.preprocess import ExpandPalette, Recipe, standard
from medimeta_adapter.preprocess.pixels import pixels_of
from torchcross.errors import InputError


@final
class Decoder:
    """Decodes a row into an image of the dataset; several threads may call it.

    `blank_places` are the places of rows whose image became one colour, because its transparent
    parts were laid over a background.
    """

    def __init__(self, rows: Rows, options: Options) -> None:
        self.channels = options.channels or rows.channels
        self.recipe = options.recipe or standard(
            options.side,
            self.channels,
            options.fit,
            depth=options.depth,
            over=options.background,
        )
        self.shape = _image_shape(self.recipe, self.channels, options)
        self.blank_places: set[int] = set()
        self._only_grey = options.channels is None and self.channels == 1

    def __call__(self, row: Row, place: int) -> NDArray[np.uint8]:
        pixels = row.pixels()
        if self._only_grey and not is_grey(pixels):
            raise InputError(
                "it has colours, but the images that were sampled first are grey; give channels=3"
                " or channels=1 (--channels)"
            )
        image = self.recipe(pixels)
        if image.dtype != np.uint8 or image.shape != self.shape:
            raise InputError(
                f"the recipe makes it {image.dtype} {image.shape}; expected uint8 {self.shape}"
            )
        if has_transparency(pixels) and is_one_colour(image):
            with_alpha = ExpandPalette()(pixels) if isinstance(pixels, Image.Image) else pixels
            if not is_one_colour(pixels_of(with_alpha)):
                self.blank_places.add(place)
        return image


def decisive_options(options: Options, rows: Rows, decoder: Decoder) -> dict[str, Any]:
    """What decides on the pixels of a row, by names that users know."""
    return {
        "size (--size)": options.side,
        "channels (--channels)": decoder.channels,
        "fit (--fit)": options.fit,
        "background (--background)": options.background,
        "depth (--bits, --window)": repr(options.depth),
        "recipe": repr(options.recipe),
        "the checksums of the arrays": rows.content,
    }


def _image_shape(recipe: Recipe, channels: int, options: Options) -> tuple[int, ...]:
    """The shape of every image that the recipe makes."""
    if options.recipe is None:
        return (options.side, options.side) if channels == 1 else (options.side, options.side, 3)
    probe = recipe(np.zeros((8, 8) if channels == 1 else (8, 8, 3), np.uint8))
    if probe.ndim not in (2, 3):
        raise InputError(
            f"the recipe makes images of shape {probe.shape}; expected (H, W) or (H, W, 3)"
        )
    return probe.shape


def has_transparency(pixels: Pixels) -> bool:
    """Whether an image may have transparent parts."""
    if isinstance(pixels, Image.Image):
        return pixels.has_transparency_data
    return pixels.ndim == 3 and pixels.shape[2] in (2, 4)


def is_one_colour(pixels: NDArray[Any]) -> bool:
    """Whether all pixels of an image have the same value."""
    return bool((pixels == pixels[0, 0]).all())
