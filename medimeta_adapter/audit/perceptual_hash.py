"""A 64-bit perceptual hash and a sketch of each image: images that look alike have similar ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices

Hashes = NDArray[np.uint64]
Floats = NDArray[np.float64]

_HASH_SIDE = 8
_SKETCH_SIDE = 16
_SKETCH_LENGTH = _SKETCH_SIDE**2 - 1
_COSINE_STEPS = 1 << 10
_LARGEST_INT8 = 127
_LUMA = np.array([77, 150, 29])
"""Grey from red, green and blue, in 256ths (ITU-R BT.601)."""


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """One hash and one sketch (255 int8) per image: 263 bytes, whatever the size of the image."""

    hashes: Hashes
    sketches: NDArray[np.int8]

    @classmethod
    def zeros(cls, count: int) -> Fingerprints:
        sketches = np.zeros((count, _SKETCH_LENGTH), dtype=np.int8)
        return cls(np.zeros(count, dtype=np.uint64), sketches)

    @classmethod
    def concatenate(cls, parts: Sequence[Fingerprints]) -> Fingerprints:
        parts = [cls.zeros(0), *parts]
        return cls(
            np.concatenate([part.hashes for part in parts]),
            np.concatenate([part.sketches for part in parts]),
        )

    def __getitem__(self, places: Indices) -> Fingerprints:
        return Fingerprints(self.hashes[places], self.sketches[places])


def fingerprints_of(images: NDArray[np.uint8]) -> Fingerprints:
    """Return hash and sketch of images (N, H, W) or (N, H, W, C), from the DCT-II of their greys.

    Hash: which of the 63 lowest coefficients lie above their median (Zauner 2010, "Implementation
    and benchmarking of perceptual image hash functions", section 3.2). These are 8 x 8 without the
    constant one; (0, 8) fills its place. Sketch: the 16 x 16 lowest coefficients without the
    constant one, scaled to int8. Two sketches correlate as the two images do at low resolution.
    Brightness and contrast hardly change either, as long as few pixels become white or black.
    """
    height, width = images.shape[1], images.shape[2]
    channels = images.shape[3] if images.ndim == 4 else 1
    # The cosines are integers and every sum stays below 2^53, where float64 is exact. So the bits
    # are the same on every machine, in whatever order it sums.
    rows = images.reshape(len(images), height, -1).astype(np.float64)
    coefficients: Floats = np.matmul(_cosines(height), rows @ _row_transform(width, channels))

    lowest = coefficients[:, :_HASH_SIDE, :_HASH_SIDE].copy()
    # The constant coefficient is the mean brightness, which is no part of how an image looks.
    lowest[:, 0, 0] = coefficients[:, 0, _HASH_SIDE]
    lowest = lowest.reshape(len(images), -1)
    above = lowest > np.median(lowest, axis=1, keepdims=True)
    hashes = np.packbits(above, axis=1).view(">u8").astype(np.uint64)[:, 0]

    sketches = coefficients.reshape(len(images), -1)[:, 1:]
    largest = np.abs(sketches).max(axis=1, keepdims=True)
    # An image of one colour has no coefficients but the constant one: its sketch is zero.
    scaled = np.zeros_like(sketches)
    np.divide(sketches * _LARGEST_INT8, largest, out=scaled, where=largest > 0)
    return Fingerprints(hashes, np.rint(scaled).astype(np.int8))


@lru_cache(maxsize=32)
def _cosines(length: int) -> Floats:
    """Return the 16 lowest cosines over `length` places, (16, length), as integers of one norm.

    A side of `length` pixels has `length` cosines only; the rows of the others are 0.
    """
    places, waves = np.arange(length), np.arange(_SKETCH_SIDE)[:, None]
    scale = np.where(waves == 0, _COSINE_STEPS / np.sqrt(2), _COSINE_STEPS)
    cosines: Floats = np.rint(scale * np.cos(np.pi * waves * (2 * places + 1) / (2 * length)))
    cosines[length:] = 0
    return cosines


@lru_cache(maxsize=32)
def _row_transform(width: int, channels: int) -> Floats:
    """Return (width x channels, 16): grey values and the cosines along a row, in one product."""
    weights = _LUMA if channels == 3 else np.ones(channels)
    return np.kron(_cosines(width), weights).T


def hamming_distances(one: Hashes, other: Hashes) -> NDArray[np.uint8]:
    """Return in how many bits hashes differ."""
    # numpy 1.26 has no bitwise_count. Count the bits within pairs, then nibbles, then bytes; the
    # product leaves the sum of the eight bytes in the highest one.
    bits = one ^ other
    bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    nibbles = np.uint64(0x3333333333333333)
    bits = (bits & nibbles) + ((bits >> np.uint64(2)) & nibbles)
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((bits * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.uint8)
