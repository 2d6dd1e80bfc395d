"""From bytes in a file to tensors, in one pass over the chosen images."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medimeta_adapter.format.pixels import Bytes, Pixels
from torchcross._kit.arrays import Indices
from torchcross.errors import InputError

__all__ = ["Channels", "PixelType", "check_reading", "read_images"]

Channels = Literal[1, 3]
PixelType = Literal["uint8", "float"]
_DTYPES = {"uint8": torch.uint8, "float": torch.float32}
# ITU-R BT.601 luma, L = 0.299 R + 0.587 G + 0.114 B, in 16-bit fixed point and rounded, as Pillow's
# "L" has it.
_LUMA = np.array([19595, 38470, 7471], dtype=np.uint32)
_HALF_RANGE, _ONE = np.float32(127.5), np.float32(1)
_HALF, _BITS = np.uint32(0x8000), np.uint32(16)


def check_reading(channels: Any, pixels: Any, what: str) -> None:
    if channels is not None and (isinstance(channels, bool) or channels not in (1, 3)):
        raise InputError(
            f"{what} got channels={channels!r}; it is 1 (grey), 3 (RGB), or None: as stored"
        )
    if not isinstance(pixels, str) or pixels not in _DTYPES:
        raise InputError(
            f"{what} got pixels={pixels!r}; it is 'uint8' (0 to 255) or 'float' (-1 to 1)"
        )


def read_images(
    stored: Pixels,
    indices: Indices,
    channels: Channels | None,
    pixels: PixelType,
    out: Tensor | None = None,
) -> Tensor:
    """Images as (n, C, H, W): bytes, or floats (x/255 - 0.5) / 0.5 as the published reader's.

    RGB bytes come as they lie in the file, with torch's channels_last strides; floats come
    contiguous.
    """
    wanted = stored.channels if channels is None else channels
    shape = (len(indices), wanted, *stored.shape[1:3])
    _check_buffer(out, shape, _DTYPES[pixels])
    if pixels == "uint8" and out is None and wanted == stored.channels:
        rows = torch.from_numpy(stored.rows(indices))
        return rows.unsqueeze(1) if wanted == 1 else rows.permute(0, 3, 1, 2)
    if out is None:
        # numpy asks for huge pages where torch does not: a fresh tensor of 45 MB costs a third in
        # page faults.
        out = torch.from_numpy(np.empty(shape, dtype=np.uint8 if pixels == "uint8" else np.float32))
    # numpy, and not torch: for pieces this small one thread is as fast as several, and does not
    # wait for others.
    _fill(out.detach().numpy(), stored, indices, wanted)
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


def _fill(out: NDArray[Any], stored: Pixels, indices: Indices, wanted: int) -> None:
    """One image at a time, in the file's order, so that it stays in the processor's cache through
    all steps.
    """
    images, places = stored.gather(indices)
    for at in np.argsort(places, kind="stable"):
        image, one = _channels_first(images[places[at]], stored), out[at]
        np.copyto(one, image if wanted >= stored.channels else _luma(image))
        if one.dtype == np.float32:
            # 2 (x / 255) - 1, rounded as (x / 255 - 0.5) / 0.5 is: to double is exact.
            np.subtract(np.divide(one, _HALF_RANGE, out=one), _ONE, out=one)


def _channels_first(image: Bytes, stored: Pixels) -> Bytes:
    if image.ndim == 2:
        return image[None]
    return image if stored.layout == "NCHW" else image.transpose(2, 0, 1)


def _luma(image: Bytes) -> Bytes:
    """(3, H, W) -> (1, H, W)."""
    weighted = image.astype(np.uint32) * _LUMA[:, None, None]
    luma: Bytes = ((weighted.sum(axis=0, dtype=np.uint32) + _HALF) >> _BITS).astype(np.uint8)
    return luma[None]
