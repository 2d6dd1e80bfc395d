"""Refusal of images of more than 8 bits per colour, of which Pillow loads 8 and says nothing."""

from __future__ import annotations

from PIL import Image

from torchcross._kit.colour_depth import loses_bits
from torchcross.errors import InputError


def refuse_lost_bits(image: Image.Image) -> None:
    """Refuse an image that is opened, and not yet loaded, if loading it loses bits."""
    if loses_bits(image):
        raise InputError(
            "it has more than 8 bits per channel, of which only 8 can be read in an image of mode"
            f" {image.mode}; save it as grey of 16 bits, or scale it to 8 bits per channel"
        )
