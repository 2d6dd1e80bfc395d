"""Images of files, datasets and arrays, as tensors."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchcross._kit.argument_checks import is_integer
from torchcross._kit.arrays import Indices
from torchcross._kit.backgrounds import (
    BACKGROUNDS,
    DEFAULT_BACKGROUND,
    Background,
    background_value,
)
from torchcross.errors import ReadError, SourceError, TorchcrossWarning

if TYPE_CHECKING:
    from PIL.Image import Image

Mode = Literal["RGB", "L"]
Size = tuple[int, int]

_ORIENTATION = 0x0112
_CHANNELS = (1, 3, 4)
# Formats that Pillow opens in 32-bit mode "I" and whose values are nevertheless 0..65535.
_SIXTEEN_BIT_FORMATS = frozenset({"PNG", "PPM"})
_LARGEST_TRIAL = 1 << 28


def checked_mode(mode: Any, owner: str) -> Mode:
    if mode == "RGB":
        return "RGB"
    if mode == "L":
        return "L"
    raise SourceError(f"{owner} got mode={mode!r}; it is 'RGB' or 'L'")


def checked_background(background: Any, owner: str) -> Background:
    for known in BACKGROUNDS:
        if background == known:
            return known
    raise SourceError(
        f"{owner} got background={background!r}; it is {', '.join(map(repr, BACKGROUNDS))}"
    )


def checked_size(size: Any, owner: str) -> Size | None:
    """(height, width); one number stands for both."""
    pair = (size, size) if _is_length(size) else size
    if pair is None:
        return None
    if (
        not isinstance(pair, tuple | list)
        or len(pair) != 2
        or not all(_is_length(length) for length in pair)
    ):
        raise SourceError(
            f"{owner} got size={size!r}; give (height, width) as two positive integers, or one for"
            " both"
        )
    return int(pair[0]), int(pair[1])


def _is_length(value: Any) -> bool:
    return is_integer(value) and int(value) > 0


def image_tensor(
    image: Any,
    mode: Mode | None = None,
    size: Size | None = None,
    background: Background = DEFAULT_BACKGROUND,
    on_blank: Callable[[], None] = lambda: None,
) -> Tensor:
    """An image as a tensor (C, H, W).

    It is one already, or a PIL image, an array (H, W) or a uint8 array (H, W, C). `mode` and `size`
    are for PIL images alone. Without a mode they keep theirs, but palettes and bits are expanded.
    Where transparency is dropped, it is laid over the background; `on_blank` is called if the
    picture becomes one colour thereby.
    """
    from PIL import Image

    if isinstance(image, Tensor):
        return image
    if isinstance(image, Image.Image):
        flattening = _Flattening(background, on_blank)
        return _from_pixels(np.array(_picture(image, mode, size, flattening)))
    kind = type(image).__name__
    if isinstance(image, np.ndarray):
        if image.dtype.kind in "biuf" and image.ndim in (2, 3):
            return _from_array(image)
        kind = f"array {image.dtype} {image.shape}"
    raise SourceError(
        f"an image is a {kind}; expected a tensor (C, H, W), a PIL image, an array (H, W) or a"
        " uint8 array (H, W, C)"
    )


def _from_array(image: NDArray[Any]) -> Tensor:
    if image.ndim == 3 and (image.dtype != np.uint8 or image.shape[2] not in _CHANNELS):
        raise SourceError(
            f"an image is an array {image.dtype} {image.shape}, and which axis holds its channels"
            " is not certain: a uint8 array of 1, 3 or 4 channels is (H, W, C); give anything else"
            " as a tensor (C, H, W), e.g. torch.from_numpy(array)"
        )
    return _from_pixels(image)


def _from_pixels(array: NDArray[Any]) -> Tensor:
    array = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))


def _picture(image: Image, mode: Mode | None, size: Size | None, flattening: _Flattening) -> Image:
    """The image upright, without a palette, of this mode and size."""
    from PIL import Image, ImageOps

    wide = image.mode.startswith("I;16") or (
        image.mode == "I" and image.format in _SIXTEEN_BIT_FORMATS
    )
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if mode is not None:
        image = flattening.eight_bits(image) if wide else image
        image = flattening.flat(image).convert(mode)
    elif image.mode in ("P", "PA"):
        image = _without_palette(image, flattening)
    elif image.mode == "1":
        image = image.convert("L")
    return image if size is None else image.resize((size[1], size[0]), Image.Resampling.BILINEAR)


@dataclass(frozen=True)
class _Flattening:
    """Transparent parts laid over a background."""

    background: Background
    on_blank: Callable[[], None]

    def eight_bits(self, image: Image) -> Image:
        """0..65535 onto 0..255: v / 257, rounded. Transparent values are replaced."""
        from PIL import Image

        values = np.array(image).astype(np.int64)
        if "transparency" in image.info:
            clear = values == image.info["transparency"]
            was_one_colour = values.min() == values.max()
            values[clear] = background_value(self.background, 65535)
            if not was_one_colour and values.min() == values.max():
                self.on_blank()
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))

    def flat(self, image: Image) -> Image:
        """Without transparency, and of a mode that goes to RGB and L alike."""
        from PIL import Image

        if image.mode in ("I", "F"):
            raise ValueError(
                f"its pixels are 32-bit ({image.mode}), whose range nobody declares; scale such"
                " images to 8 or 16 bits first"
            )
        if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
            # Pillow has no way from "La" to "RGBA" but through "LA".
            clear = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
            colour = (background_value(self.background),) * 3
            behind = Image.new("RGBA", clear.size, (*colour, 255))
            flat = Image.alpha_composite(behind, clear).convert("RGB")
            if _is_one_colour(flat) and not _is_one_colour(clear):
                self.on_blank()
            return flat
        return image.convert("RGB") if image.mode == "LAB" else image


def _is_one_colour(image: Image) -> bool:
    # Of an image of several channels, Pillow gives a pair for each.
    pairs: Any = image.getextrema()
    return all(least == most for least, most in pairs)


@final
class BlankImages:
    """Warns of the first image of a source that becomes one colour over its background."""

    def __init__(self, source: str, background: Background) -> None:
        self._source = source
        self._background = background
        self._has_warned = False

    def warn(self, image: str) -> None:
        if self._has_warned:
            return
        self._has_warned = True
        others = " or ".join(repr(name) for name in BACKGROUNDS if name != self._background)
        warnings.warn(
            f"{image} of source {self._source!r} becomes one colour, because its transparent parts"
            f" are laid over {self._background}; give background={others}. Further such images are"
            " not named",
            TorchcrossWarning,
            stacklevel=2,
        )


def _without_palette(image: Image, flattening: _Flattening) -> Image:
    """The colours behind a palette; grey ones as "L"."""
    palette = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    is_grey = bool((palette == palette[:, :1]).all())
    return flattening.flat(image).convert("L" if is_grey else "RGB")


def stack_images(images: Sequence[Tensor], places: Sequence[int], name: str) -> Tensor:
    """Images as one batch, or an error that names two that differ."""
    if not images:
        return torch.empty(0)
    first = images[0]
    for place, image in zip(places, images, strict=True):
        if image.shape != first.shape or image.dtype != first.dtype:
            raise ReadError(
                f"source {name!r} has images that do not stack: sample {places[0]} is"
                f" {_shape(first)}, sample {place} is {_shape(image)}; bring them to one size and"
                " mode (size=(H, W), or a transform of the dataset)"
            )
    return torch.stack(list(images))


def _shape(image: Tensor) -> str:
    return f"{str(image.dtype).removeprefix('torch.')} {tuple(image.shape)}"


def check_readable(images: Any, name: str) -> None:
    """Refuse images that cannot be read. Tries the first and the last row, unless they are huge."""
    shape, dtype = tuple(images.shape), images.dtype
    if isinstance(images, Tensor) and (images.layout != torch.strided or images.is_meta):
        kind = "on the meta device" if images.is_meta else f"of layout {images.layout}"
        raise SourceError(
            f"source {name!r} got a tensor {kind}; give a dense one with values (images.to_dense())"
        )
    if isinstance(images, np.ma.MaskedArray):
        raise SourceError(
            f"source {name!r} got a masked array, whose mask no tensor holds; give"
            " images.filled(value)"
        )
    if isinstance(dtype, np.dtype) and dtype.kind not in "biufc":
        raise SourceError(
            f"source {name!r} got images of dtype {dtype}; give numbers, e.g. uint8 or float32"
        )
    if 2 * math.prod(shape[1:]) * getattr(dtype, "itemsize", 1) > _LARGEST_TRIAL:
        return
    try:
        shape_read = tuple(rows_at(images, np.array([shape[0] - 1, 0])).shape)
    except Exception as error:
        raise SourceError(
            f"source {name!r} cannot read rows of its images, a {type(images).__name__} {dtype}"
            f" {shape}: {type(error).__name__}: {error}; give a dense tensor, an array or a"
            " memory map"
        ) from error
    if shape_read != (2, *shape[1:]):
        raise SourceError(
            f"source {name!r} asked for 2 rows of its images, a {type(images).__name__} {shape},"
            f" and got shape {shape_read}; give a dense tensor, an array or a memory map"
        )


def rows_at(images: Any, indices: Indices) -> Tensor:
    """A copy of the rows at `indices`, in native byte order."""
    if isinstance(images, Tensor):
        return images[torch.tensor(indices).to(images.device)]
    rows = images[indices] if isinstance(images, np.ndarray) else _rows_of_file(images, indices)
    return torch.from_numpy(np.ascontiguousarray(rows, dtype=rows.dtype.newbyteorder("=")))


def _rows_of_file(images: Any, indices: Indices) -> NDArray[Any]:
    """Rows of an HDF5 file and the like, which takes sorted, distinct indices only."""
    if not len(indices):
        return np.empty((0, *images.shape[1:]), dtype=images.dtype)
    distinct, places = np.unique(indices, return_inverse=True)
    rows: NDArray[Any] = np.asarray(images[distinct])[places]
    return rows
