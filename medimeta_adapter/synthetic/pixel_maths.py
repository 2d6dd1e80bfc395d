"""Arithmetic of images in float32 whose bits are the same on every machine.

It uses only operations that IEEE 754 rounds correctly: + - * / sqrt abs min max floor.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Integers: TypeAlias = NDArray[np.int64]
Words: TypeAlias = NDArray[np.uint64]

F = np.float32


def unit_floats(words: Words) -> Floats:
    """Return random words as numbers in [0, 1): 24 bits of each, which float32 holds exactly."""
    return (words >> np.uint64(40)).astype(np.float32) * F(2.0**-24)


def byte_floats(words: Words) -> Floats:
    """Return the eight bytes of each word, in one order on every machine, as 0 to 255."""
    return words.astype("<u8").view(np.uint8).astype(np.float32)


def clip(values: Floats) -> Floats:
    """Return the values with those below 0 raised to 0, and those above 1 lowered to 1."""
    clipped: Floats = np.minimum(np.maximum(values, F(0)), F(1))
    return clipped


def triangle_wave(places: Floats) -> Floats:
    """Return a wave of period 1 between 0 and 1, made of straight lines."""
    wave: Floats = np.abs(places - np.floor(places) - F(0.5)) * F(2)
    return wave


def pixel_centres(size: int) -> tuple[Floats, Floats]:
    """Return the centres of pixels from -1 to 1: (size, 1) down and (1, size) across."""
    line = (np.arange(size, dtype=np.float32) * F(2) + F(1)) / F(size) - F(1)
    return line[:, None], line[None, :]
