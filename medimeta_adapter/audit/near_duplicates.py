"""Which images are near duplicates: the limits, and a search that does not compare all pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.audit.perceptual_hash import Fingerprints, Hashes, hamming_distances
from torchcross._kit.arrays import Indices

DISTANCE = 4
"""Two images are candidates if at most this many of the 64 bits of their hashes differ..."""

LIKENESS = 0.99
"""...and near duplicates if the correlation of their sketches is at least this, too."""

REACH = 32
"""Among hashes with one key, each is compared with this many that follow it.

So thousands of similar images stay affordable.
"""

_BLOCKS = 8
_BLOCK_BITS = 64 // _BLOCKS
_CHUNK = 1 << 16


def near_duplicate_groups(
    fingerprints: Fingerprints, progress: Callable[[int, int], object] | None = None
) -> list[Indices]:
    """Return groups of two or more images, ascending, that are linked by looking alike.

    Where two hashes differ in DISTANCE bits, at least _BLOCKS - DISTANCE of their blocks are equal
    (Manku et al. 2007, "Detecting near-duplicates for web crawling"). So sorting by every choice of
    so many blocks brings the two together at least once.
    """
    # Equal hashes would be neighbours under every mask: compare them once, with the first of them.
    distinct, first, back = np.unique(fingerprints.hashes, return_index=True, return_inverse=True)
    labels = np.arange(len(fingerprints.hashes))
    copies = np.flatnonzero(first[back] != labels)
    labels = _link(labels, *_similar_pairs(fingerprints, first[back[copies]], copies))
    masks = list(_block_masks())
    for done, mask in enumerate(masks, start=1):
        for left, right in _close_pairs(distinct, mask):
            one, other = first[left], first[right]
            apart = labels[one] != labels[other]
            labels = _link(labels, *_similar_pairs(fingerprints, one[apart], other[apart]))
        if progress is not None:
            progress(done, len(masks))
    return groups_of(labels)


def groups_of(labels: NDArray[np.integer]) -> list[Indices]:
    """Return the places of each label that occurs at two places or more; ascending."""
    order = np.argsort(labels, kind="stable")
    ends = np.flatnonzero(np.diff(labels[order])) + 1
    parts = [part for part in np.split(order, ends) if len(part) > 1]
    return sorted(parts, key=lambda part: int(part[0]))


def _similar_pairs(
    fingerprints: Fingerprints, one: Indices, other: Indices
) -> tuple[Indices, Indices]:
    """Return the pairs whose sketches correlate enough."""
    similar = np.zeros(len(one), dtype=bool)
    for start in range(0, len(one), _CHUNK):
        part = slice(start, start + _CHUNK)
        a = fingerprints.sketches[one[part]].astype(np.float32)
        b = fingerprints.sketches[other[part]].astype(np.float32)
        # Sums of 255 products of int8 are below 2^24, so float32 holds them exactly.
        product = np.einsum("np,np->n", a, b).astype(np.float64)
        norm = np.einsum("np,np->n", a, a) * np.einsum("np,np->n", b, b).astype(np.float64)
        # correlation >= LIKENESS, squared: no root and no division by zero.
        similar[part] = (product > 0) & (product**2 >= LIKENESS**2 * norm)
    return one[similar], other[similar]


def _link(labels: Indices, one: Indices, other: Indices) -> Indices:
    """Return the labels after the groups of each pair became one, labelled by its lowest place."""
    while (labels[one] != labels[other]).any():
        low = np.minimum(labels[one], labels[other])
        labels = labels.copy()
        np.minimum.at(labels, labels[one], low)
        np.minimum.at(labels, labels[other], low)
        # A label is itself a place: follow the labels until each points to a place that stays.
        while (labels[labels] != labels).any():
            labels = labels[labels]
    return labels


def _block_masks() -> Iterator[np.uint64]:
    """Yield a mask of 64 bits for every choice of half the blocks."""
    block = (1 << _BLOCK_BITS) - 1
    for places in combinations(range(_BLOCKS), _BLOCKS - DISTANCE):
        yield np.uint64(sum(block << (_BLOCK_BITS * place) for place in places))


def _close_pairs(distinct: Hashes, mask: np.uint64) -> Iterator[tuple[Indices, Indices]]:
    """Yield the places of pairs that agree under the mask and differ in DISTANCE bits at most.

    Each step compares every hash with the one `step` places further in the sorted order.
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
        distances = hamming_distances(values[places], values[places + step])
        near = places[distances <= DISTANCE]
        yield order[near], order[near + step]
