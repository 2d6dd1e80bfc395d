"""From bytes in a file to tensors, in one pass over the images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medimeta_adapter.format.pixels import Bytes, StoredPixels
from medimeta_adapter.format.reading_options import Channels, PixelType
from torchcross._kit.arrays import Indices
from torchcross.errors import InputError, ReadError

_DTYPES = {"uint8": torch.uint8, "float": torch.float32}
# ITU-R BT.601 luma, L = 0.299 R + 0.587 G + 0.114 B, in 16-bit fixed point and rounded, as Pillow's
# "L" has it.
_LUMA = np.array([19595, 38470, 7471], dtype=np.uint32)
_HALF_RANGE, _ONE = np.float32(127.5), np.float32(1)
_HALF, _BITS = np.uint32(0x8000), np.uint32(16)


def check_reading(channels: Any, pixels: Any, who: str) -> None:
    if channels is not None and (isinstance(channels, bool) or channels not in (1, 3)):
        raise InputError(
            f"{who} got channels={channels!r}; give 1 (grey), 3 (RGB), or None (as stored)"
        )
    if not isinstance(pixels, str) or pixels not in _DTYPES:
        raise InputError(
            f"{who} got pixels={pixels!r}; give 'uint8' (0 to 255) or 'float' (-1 to 1)"
        )


def read_images(
    stored: StoredPixels,
    indices: Indices,
    channels: Channels | None,
    pixels: PixelType,
    out: Tensor | None = None,
) -> Tensor:
    """Return images (n, C, H, W): bytes, or floats (x/255 - 0.5) / 0.5 as the published reader's.

    RGB bytes come as they are in the file, with torch's channels_last strides; floats come
    contiguous.
    """
    try:
        return _read_images(stored, indices, channels, pixels, out)
    except MemoryError as error:
        raise ReadError(
            f"{len(indices)} images of shape {stored.shape[1:]} do not fit in memory; read fewer at"
            " once, or check input_size in info.yaml"
        ) from error


def _read_images(
    stored: StoredPixels,
    indices: Indices,
    channels: Channels | None,
    pixels: PixelType,
    out: Tensor | None,
) -> Tensor:
    depth = stored.channels if channels is None else channels
    shape = (len(indices), depth, *stored.shape[1:3])
    _check_buffer(out, shape, _DTYPES[pixels])
    if pixels == "uint8" and out is None and depth == stored.channels:
        rows = torch.from_numpy(stored.rows(indices))
        return rows.unsqueeze(1) if depth == 1 else rows.permute(0, 3, 1, 2)
    if out is None:
        # numpy asks for huge pages where torch does not: a fresh tensor of 45 MB costs a third in
        # page faults.
        out = torch.from_numpy(np.empty(shape, dtype=np.uint8 if pixels == "uint8" else np.float32))
    # numpy, and not torch: for pieces this small one thread is as fast as several, and does not
    # wait for others.
    _fill(out.detach().numpy(), stored, indices, depth)
    return out


def _check_buffer(out: Any, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if out is None:
        return
    if not isinstance(out, Tensor):
        raise InputError(f"out= is a {type(out).__name__}; give a tensor, {dtype} {shape}")
    if tuple(out.shape) != shape or out.dtype != dtype or out.device.type != "cpu":
        raise InputError(
            f"out= is {out.dtype} {tuple(out.shape)} on {out.device}; these images are {dtype}"
            f" {shape} on cpu"
        )


def _fill(out: NDArray[Any], stored: StoredPixels, indices: Indices, depth: int) -> None:
    """Write one image at a time, in the file's order.

    An image stays in the processor's cache through all steps.
    """
    images, places = stored.gather(indices)
    for position in np.argsort(places, kind="stable"):
        image, target = _channels_first(images[places[position]]), out[position]
        np.copyto(target, image if depth >= stored.channels else _luma(image))
        if target.dtype == np.float32:
            # 2 (x / 255) - 1, rounded as (x / 255 - 0.5) / 0.5 is: to double is exact.
            np.subtract(np.divide(target, _HALF_RANGE, out=target), _ONE, out=target)


def _channels_first(image: Bytes) -> Bytes:
    return image[None] if image.ndim == 2 else image.transpose(2, 0, 1)


def _luma(image: Bytes) -> Bytes:
    """Return (3, H, W) as (1, H, W)."""
    weighted = image.astype(np.uint32) * _LUMA[:, None, None]
    luma: Bytes = ((weighted.sum(axis=0, dtype=np.uint32) + _HALF) >> _BITS).astype(np.uint8)
    return luma[None]
