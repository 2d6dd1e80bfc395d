"""Tensors as 8-bit pictures, and pictures as data URIs, which need no file."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchcross.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]
_COLOURS: Final = 64


def as_pixels(
    batches: Sequence[Tensor],
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> list[list[Pixels]]:
    """Images (N, 1 or 3, height, width), bytes or floats, as 8-bit images.

    All batches are stretched alike.
    """
    for batch in batches:
        if batch.ndim != 4 or batch.shape[1] not in (1, 3):
            raise InputError(
                f"pictures got images of shape {tuple(batch.shape)}; give"
                " (N, 1 or 3, height, width)"
            )
    images = [_undo_normalisation(batch, mean, std) for batch in batches]
    low = min((float(batch.min()) for batch in images if batch.numel()), default=0.0)
    high = max((float(batch.max()) for batch in images if batch.numel()), default=1.0)
    # Values just outside 0..1 come from rounding, not from another scale.
    if low < -1e-3 or high > 1 + 1e-3:
        images = [(batch - low) / max(high - low, 1e-12) for batch in images]
    return [[_eight_bit(image) for image in batch] for batch in images]


def _undo_normalisation(
    batch: Tensor, mean: Sequence[float] | None, std: Sequence[float] | None
) -> Tensor:
    batch = batch.detach().cpu()
    if batch.dtype == torch.uint8:
        return batch.float() / 255
    factor = torch.tensor(1.0 if std is None else std).reshape(1, -1, 1, 1)
    offset = torch.tensor(0.0 if mean is None else mean).reshape(1, -1, 1, 1)
    return torch.nan_to_num(batch.float()) * factor + offset


def _eight_bit(image: Tensor) -> Pixels:
    channels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return channels[:, :, 0] if channels.shape[2] == 1 else channels


def thumbnail(pixels: Pixels, side: int) -> Pixels:
    """The picture, smaller where its longer side has more than `side` pixels."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def thumbnail_uri(pixels: Pixels, side: int) -> str:
    """The thumbnail as the address of a PNG of at most 64 colours, a third of a full one's size.

    Equal pixels give equal bytes.
    """
    from PIL import Image

    picture = Image.fromarray(thumbnail(pixels, side))
    few = picture.quantize(_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return _png_uri(few)


def data_uri(pixels: Pixels, side: int) -> str:
    """The picture as the address of a PNG whose longer side has at most `side` pixels."""
    from PIL import Image  # slow to load, and only pages with pictures need it

    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _png_uri(picture)


def _png_uri(picture: Image.Image) -> str:
    content = BytesIO()
    picture.save(content, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode("ascii")
