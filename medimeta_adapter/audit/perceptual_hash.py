"""Images that look alike: a 64-bit perceptual hash and a sketch of each, and groups of them without
comparing all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices

__all__ = [
    "DISTANCE",
    "LIKENESS",
    "REACH",
    "Looks",
    "alike_groups",
    "bits_apart",
    "groups_of",
    "looks",
]

DISTANCE = 4
"""Two images are candidates where at most so many of the 64 bits of their hashes differ..."""

LIKENESS = 0.99
"""...and look alike where their sketches correlate at least so much too."""

REACH = 32
"""In a crowd with one key, each hash is compared with so many that follow it: thousands alike stay
affordable.
"""

Hashes = NDArray[np.uint64]
Floats = NDArray[np.float64]

_SIDE = 8
_WAVES = 16
_BLOCKS = 8
_STEPS = 1 << 10
_FINEST = 127
_CHUNK = 1 << 16
_LUMA = np.array([77, 150, 29])
"""Grey from red, green and blue in 256ths (ITU-R BT.601)."""


@dataclass(frozen=True, eq=False)
class Looks:
    """One hash and one sketch (255 int8) per image: 263 bytes, whatever the image's size."""

    hashes: Hashes
    sketches: NDArray[np.int8]

    def at(self, places: Indices) -> Looks:
        return Looks(self.hashes[places], self.sketches[places])

    @classmethod
    def joined(cls, parts: list[Looks]) -> Looks:
        if not parts:
            return cls(np.zeros(0, dtype=np.uint64), np.zeros((0, _WAVES**2 - 1), dtype=np.int8))
        return cls(
            np.concatenate([p.hashes for p in parts]), np.concatenate([p.sketches for p in parts])
        )


def looks(images: NDArray[np.uint8]) -> Looks:
    """Of images (N, H, W) or (N, H, W, C), both from the DCT-II of their grey values.

    Hash: which of the 63 lowest coefficients (8 x 8 without the constant one, and (0, 8) in its
    place) lie above their median (Zauner 2010, "Implementation and benchmarking of perceptual image
    hash functions", section 3.2). Sketch: the 16 x 16 lowest coefficients without the constant one,
    scaled to int8; the correlation of two sketches is that of the two images, made coarse.
    Brightness and contrast hardly count.

    The cosines are whole numbers and all sums stay below 2^53, so the bits are the same on every
    machine.
    """
    height, width = images.shape[1], images.shape[2]
    rows = images.reshape(len(images), height, -1).astype(np.float64)
    across = rows @ _across(width, images.shape[3] if images.ndim == 4 else 1)
    found: Floats = np.matmul(_cosines(height), across)
    lowest = found[:, :_SIDE, :_SIDE].copy()
    lowest[:, 0, 0] = found[:, 0, _SIDE]
    lowest = lowest.reshape(len(images), -1)
    above = lowest > np.median(lowest, axis=1, keepdims=True)
    hashes = np.packbits(above, axis=1).view(">u8").astype(np.uint64)[:, 0]
    sketch = found.reshape(len(images), -1)[:, 1:]
    largest = np.abs(sketch).max(axis=1, keepdims=True)
    scaled = np.divide(sketch * _FINEST, largest, out=np.zeros_like(sketch), where=largest > 0)
    return Looks(hashes, np.rint(scaled).astype(np.int8))


@lru_cache(maxsize=32)
def _cosines(length: int) -> Floats:
    """(16, length): the lowest cosines over `length` places, of one norm, in whole steps; 0 from
    wave `length` on.
    """
    places, waves = np.arange(length), np.arange(_WAVES)[:, None]
    scale = np.where(waves == 0, _STEPS / np.sqrt(2), _STEPS)
    table = np.rint(scale * np.cos(np.pi * waves * (2 * places + 1) / (2 * length)))
    table[length:] = 0
    found: Floats = table
    return found


@lru_cache(maxsize=32)
def _across(width: int, channels: int) -> Floats:
    """(width x channels, 16): the cosines along a row, and grey values on the way."""
    weights = _LUMA if channels == 3 else np.ones(channels)
    return np.kron(_cosines(width), weights).T


def bits_apart(one: Hashes, other: Hashes) -> NDArray[np.uint8]:
    """Hamming distances (numpy 1.26 has no bitwise_count: bits are summed in pairs, nibbles and
    bytes).
    """
    bits = one ^ other
    bits = bits - ((bits >> np.uint64(1)) & np.uint64(0x5555555555555555))
    bits = (bits & np.uint64(0x3333333333333333)) + (
        (bits >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return ((bits * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.uint8)


def alike_groups(
    found: Looks, progress: Callable[[int, int], object] | None = None
) -> list[Indices]:
    """Groups (ascending, of two and more) of images that are linked by looking alike.

    Of eight blocks of eight bits at least 8 - DISTANCE are equal in such hashes (Manku et al. 2007,
    "Detecting near-duplicates for web crawling"), so sorting by every choice of four blocks brings
    them together. Equal hashes are compared with the first of them, others in a crowd that shares
    four blocks with the next REACH.
    """
    distinct, first, back = np.unique(found.hashes, return_index=True, return_inverse=True)
    labels = np.arange(len(found.hashes))
    copies = np.flatnonzero(first[back] != labels)
    labels = _linked(labels, *_confirmed(found, first[back[copies]], copies))
    masks = list(_masks())
    for done, mask in enumerate(masks, start=1):
        for left, right in _neighbours(distinct, mask):
            one, other = first[left], first[right]
            apart = labels[one] != labels[other]
            labels = _linked(labels, *_confirmed(found, one[apart], other[apart]))
        if progress is not None:
            progress(done, len(masks))
    return groups_of(labels)


def groups_of(labels: NDArray[np.integer]) -> list[Indices]:
    """Places with one label, where there are two and more; ascending."""
    order = np.argsort(labels, kind="stable")
    ends = np.flatnonzero(np.diff(labels[order])) + 1
    parts = [part for part in np.split(order, ends) if len(part) > 1]
    return sorted(parts, key=lambda part: int(part[0]))


def _confirmed(found: Looks, one: Indices, other: Indices) -> tuple[Indices, Indices]:
    """The pairs whose sketches correlate."""
    kept = np.zeros(len(one), dtype=bool)
    for start in range(0, len(one), _CHUNK):
        part = slice(start, start + _CHUNK)
        a = found.sketches[one[part]].astype(np.float32)
        b = found.sketches[other[part]].astype(np.float32)
        product = np.einsum("np,np->n", a, b)
        norm = np.einsum("np,np->n", a, a) * np.einsum("np,np->n", b, b).astype(np.float64)
        kept[part] = (product > 0) & (product.astype(np.float64) ** 2 >= LIKENESS**2 * norm)
    return one[kept], other[kept]


def _linked(labels: Indices, one: Indices, other: Indices) -> Indices:
    """Labels after these pairs became one: the lowest place of each group."""
    while (labels[one] != labels[other]).any():
        low = np.minimum(labels[one], labels[other])
        labels = labels.copy()
        np.minimum.at(labels, labels[one], low)
        np.minimum.at(labels, labels[other], low)
        while (labels[labels] != labels).any():
            labels = labels[labels]
    return labels


def _masks() -> Iterator[np.uint64]:
    """Every choice of half the blocks."""
    size = 64 // _BLOCKS
    for chosen in combinations(range(_BLOCKS), _BLOCKS // 2):
        yield np.uint64(sum(((1 << size) - 1) << (size * place) for place in chosen))


def _neighbours(distinct: Hashes, mask: np.uint64) -> Iterator[tuple[Indices, Indices]]:
    """Places of pairs that agree under the mask and differ in DISTANCE bits at most, one step at a
    time.
    """
    keys = distinct & mask
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], distinct[order]
    places = np.arange(len(keys))
    for step in range(1, REACH + 1):
        places = places[places + step < len(keys)]
        places = places[keys[places] == keys[places + step]]
        if len(places) == 0:
            return
        near = places[bits_apart(values[places], values[places + step]) <= DISTANCE]
        yield order[near], order[near + step]
