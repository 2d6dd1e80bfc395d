"""PIL images as arrays and back; what would lose something in silence is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medimeta_adapter.preprocess.bits import refuse_lost_bits
from torchcross.errors import InputError

Pixels = NDArray[Any]

_KINDS = "uint8, uint16, int16, int32, uint32, float16, float32, float64, bool"
_DTYPES = frozenset(np.dtype(name.strip()) for name in _KINDS.split(","))
_DIRECT = frozenset({"1", "L", "LA", "RGB", "RGBA", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"})
# Other colour spaces and premultiplied alpha, as what every viewer shows for them.
_CONVERTED = {
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "LAB": "RGB",
    "HSV": "RGB",
    "RGBX": "RGB",
    "La": "LA",
    "RGBa": "RGBA",
}
_TRANSPARENT = {"1": "LA", "L": "LA", "RGB": "RGBA"}


def pixels_of(image: object) -> Pixels:
    """Return an image as an array (H, W) or (H, W, 2 to 4): grey, with alpha, RGB, with alpha."""
    if isinstance(image, Image.Image):
        return _of_pil(image)
    array = np.asarray(image)
    if array.dtype.kind == "O":
        raise InputError(
            f"a {type(image).__name__} is no image; give a PIL image, or an array of numbers"
        )
    return _checked_pixels(array)


def _of_pil(image: Image.Image) -> Pixels:
    refuse_lost_bits(image)
    if image.mode in ("P", "PA"):
        raise InputError(
            f"the image has a palette (mode {image.mode}), its pixels are numbers of colours; put"
            " ExpandPalette() before the other steps, or pass np.asarray(image) where you mean the"
            " numbers (a mask)"
        )
    if image.mode.startswith("I") and "transparency" in image.info:
        return _with_clear_value(np.asarray(image), image.info["transparency"])
    if image.mode in _TRANSPARENT and "transparency" in image.info:
        image = image.convert(_TRANSPARENT[image.mode])
    elif image.mode in _CONVERTED:
        image = image.convert(_CONVERTED[image.mode])
    if image.mode not in _DIRECT:
        raise InputError(
            f"an image of mode {image.mode} cannot be read here; convert it to L, RGB, I;16, I or F"
            " first"
        )
    return _checked_pixels(np.asarray(image))


def _with_clear_value(values: Pixels, clear: int) -> Pixels:
    """Return grey of 16 bits and its alpha, which is 0 where a pixel has the transparent value."""
    alpha = np.where(values == clear, 0, 65535)
    return _checked_pixels(np.stack([values, alpha], axis=2).astype(np.uint16))


def _checked_pixels(array: Pixels) -> Pixels:
    """Return the array in this machine's byte order, (H, W, 1) as (H, W), if it is one picture."""
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype not in _DTYPES:
        raise InputError(f"an image of dtype {array.dtype} cannot be read; give one of {_KINDS}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (2, 3, 4)):
        raise InputError(
            f"an image of shape {array.shape} cannot be read; give (height, width) or (height,"
            " width, channels) with channels last; a volume is cut by centred_slices first"
        )
    if not array.size:
        raise InputError(f"an image of shape {array.shape} has no pixels; leave it out")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(
            f"{int((~np.isfinite(array)).sum())} pixels are NaN or infinite; replace them first"
        )
    return array


def to_pil(array: Pixels) -> Image.Image:
    """Return the PIL image of an array."""
    return Image.fromarray(array if array.dtype.kind != "f" else array.astype(np.float32))


def scale_to_bytes(array: Pixels, low: float, high: float) -> NDArray[np.uint8]:
    """Map low..high to 0..255, rounded and clipped; an empty range becomes zeros."""
    if not high > low:
        return np.zeros(array.shape, np.uint8)
    scaled = (array.astype(np.float64) - low) * 255 / (high - low)
    return np.asarray(np.rint(np.clip(scaled, 0, 255)), np.uint8)


def refuse_alpha(array: Pixels, who: str) -> None:
    if array.ndim == 3 and array.shape[2] in (2, 4):
        raise InputError(
            f"{who} got an image with alpha, shape {array.shape}; put DropAlpha() before it"
        )


def array_text(array: Pixels) -> str:
    return f"{array.dtype} {array.shape}"
