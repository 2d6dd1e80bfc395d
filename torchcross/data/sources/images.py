"""Images of files, datasets and arrays, as tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchcross._kit.argument_checks import is_integer
from torchcross._kit.arrays import Indices
from torchcross._kit.colour_depth import loses_bits
from torchcross.data.sources.flattening import PLAIN, Flattening, Remark
from torchcross.errors import ReadError, SourceError

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
    flattening: Flattening = PLAIN,
) -> Tensor:
    """An image as a tensor (C, H, W).

    It is one already, or a PIL image, an array (H, W) or a uint8 array (H, W, C). `mode` and `size`
    are for PIL images alone. Without a mode they keep theirs, but palettes and bits are expanded.
    `flattening` says what is done where transparency is dropped, and more than 8 bits.
    """
    from PIL import Image

    if isinstance(image, Tensor):
        return image
    if isinstance(image, Image.Image):
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


def _picture(image: Image, mode: Mode | None, size: Size | None, flattening: Flattening) -> Image:
    """The image upright, without a palette, of this mode and size."""
    from PIL import Image, ImageOps

    wide = image.mode.startswith("I;16") or (
        image.mode == "I" and image.format in _SIXTEEN_BIT_FORMATS
    )
    if loses_bits(image):
        flattening.check_channels()
        flattening.on_remark(Remark(is_deep=True, loses_bits=True))
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


def _without_palette(image: Image, flattening: Flattening) -> Image:
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


def first_and_last(images: Any, name: str) -> Tensor | None:
    """Refuse images that cannot be read. Return the last and the first row, unless huge."""
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
        return None
    try:
        ends = rows_at(images, np.array([shape[0] - 1, 0]))
    except Exception as error:
        raise SourceError(
            f"source {name!r} cannot read rows of its images, a {type(images).__name__} {dtype}"
            f" {shape}: {type(error).__name__}: {error}; give a dense tensor, an array or a"
            " memory map"
        ) from error
    if tuple(ends.shape) != (2, *shape[1:]):
        raise SourceError(
            f"source {name!r} asked for 2 rows of its images, a {type(images).__name__} {shape},"
            f" and got shape {tuple(ends.shape)}; give a dense tensor, an array or a memory map"
        )
    return ends


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
