"""Volumes to images: a window to 8 bits, slices about a centre."""

from __future__ import annotations

from operator import index
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medimeta_adapter.preprocess.depth import Window
from medimeta_adapter.preprocess.pixels import scale_to_bytes
from torchcross.errors import InputError


def window(volume: ArrayLike, level: float, width: float) -> NDArray[np.uint8]:
    """Map level - width/2 .. level + width/2 to 0..255, clipped; an array of any shape.

    >>> from medimeta_adapter.preprocess import window
    >>> window(np.array([[-1000, 40, 400]]), level=40, width=400)
    array([[  0, 128, 255]], dtype=uint8)
    """
    scaling = Window(level, width)
    array = np.asarray(volume)
    if array.dtype.kind not in "iuf":
        raise InputError(f"a volume of dtype {array.dtype} has no level; give integers or floats")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(
            f"{int((~np.isfinite(array)).sum())} voxels are NaN or infinite; replace them first"
        )
    return scale_to_bytes(array, *scaling.bounds)


def centred_slices(
    volume: ArrayLike,
    axis: Literal[0, 1, 2],
    *,
    count: int = 1,
    step: int = 1,
    around: ArrayLike | None = None,
) -> NDArray[Any]:
    """Return `count` slices across `axis`, `step` apart, about a centre: (count, ...).

    The centre is the middle of the volume, or `around`: a mask of the volume's shape (the middle of
    its bounding box counts) or a voxel (three integers).
    """
    array = np.asarray(volume)
    if array.ndim != 3 or not array.size:
        raise InputError(
            f"a volume of shape {array.shape} cannot be cut; give three non-empty axes"
        )
    if axis not in (0, 1, 2):
        raise InputError(f"axis={axis!r} is none of a volume's; give 0, 1 or 2")
    if count < 1 or step < 1:
        raise InputError(f"count={count} and step={step} give no slices; give 1 or more of both")
    centre = (
        array.shape[axis] // 2 if around is None else _centre(np.asarray(around), array.shape, axis)
    )
    # An even count has one slice more before the centre than after it, as shape // 2 has.
    places = centre + step * (np.arange(count) - count // 2)
    if places[0] < 0 or places[-1] >= array.shape[axis]:
        raise InputError(
            f"{count} slices, {step} apart about slice {centre}, are {places[0]}..{places[-1]};"
            f" axis {axis} has 0..{array.shape[axis] - 1}; ask for fewer or closer ones"
        )
    return np.moveaxis(array, axis, 0)[places]


def _centre(around: NDArray[Any], shape: tuple[int, ...], axis: int) -> int:
    if around.shape == (3,) and around.dtype.kind in "iu":
        place = index(around[axis])
        if not all(0 <= index(n) < side for n, side in zip(around, shape, strict=True)):
            raise InputError(f"the voxel {around.tolist()} is outside a volume of shape {shape}")
        return place
    if around.shape != shape:
        raise InputError(
            f"around has shape {around.shape}; give a mask of the volume's shape {shape}, or a"
            " voxel"
        )
    marked = np.flatnonzero(
        (around != 0).any(axis=tuple(other for other in range(3) if other != axis))
    )
    if not marked.size:
        raise InputError(
            "the mask marks no voxel; leave `around` out to cut the middle of the volume"
        )
    return int(marked[0] + marked[-1] + 1) // 2
