"""Which images are near duplicates: the limits, and a search that does not compare all pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.audit.perceptual_hash import Fingerprints, Hashes, hamming_distances
from torchcross._kit.arrays import Indices

DISTANCE = 4
"""Two images are candidates if at most this many of the 64 bits of their hashes differ..."""

LIKENESS = 0.99
"""...and near duplicates if the correlation of their sketches is at least this, too."""

CROWD = 256
"""Up to so many different hashes with one key are compared all with all."""

REACH = 32
"""In a larger crowd, each hash is compared with this many that follow it, in order of value.

So thousands of similar images stay affordable.
"""

_BLOCKS = 8
_BLOCK_BITS = 64 // _BLOCKS
_CHUNK = 1 << 15
_FEW = 1 << 10
_ROWS = 1 << 10


def near_duplicate_groups(
    fingerprints: Fingerprints, progress: Callable[[int, int], object] | None = None
) -> list[Indices]:
    """Return groups of two or more images, ascending, that are linked by looking alike.

    Where two hashes differ in DISTANCE bits, at least _BLOCKS - DISTANCE of their blocks are equal
    (Manku et al. 2007, "Detecting near-duplicates for web crawling"). So sorting by every choice of
    so many blocks brings the two together at least once. The groups are the same in whatever order
    the images come: everything is sorted by value, never by place.
    """
    buckets, labels = _buckets_of(fingerprints)
    several = np.flatnonzero(buckets.counts > 1)
    labels = _link_buckets(fingerprints, buckets, labels, several, several)
    masks = list(_block_masks())
    for done, mask in enumerate(masks, start=1):
        for one, other in _close_pairs(buckets.hashes, mask):
            labels = _link_buckets(fingerprints, buckets, labels, one, other)
        if progress is not None:
            progress(done, len(masks))
    return groups_of(labels)


def groups_of(labels: NDArray[np.integer]) -> list[Indices]:
    """Return the places of each label that occurs at two places or more; ascending."""
    order = np.argsort(labels, kind="stable")
    ends = np.flatnonzero(np.diff(labels[order])) + 1
    parts = [part for part in np.split(order, ends) if len(part) > 1]
    return sorted(parts, key=lambda part: int(part[0]))


# -- images of one hash ----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Buckets:
    """Images by hash. Of images with one hash and one sketch, only one stands here.

    The images with `hashes[b]` are `places[starts[b] : starts[b] + counts[b]]`.
    """

    hashes: Hashes
    places: Indices
    starts: Indices
    counts: Indices


def _buckets_of(fingerprints: Fingerprints) -> tuple[_Buckets, Indices]:
    """Return the buckets, and a label for each image: images with equal fingerprints share one."""
    labels = np.arange(len(fingerprints.hashes))
    hashes, back, counts = np.unique(fingerprints.hashes, return_inverse=True, return_counts=True)
    shared = np.flatnonzero(counts[back] > 1)
    # Only images that share their hash need a look at their sketches, as bytes after the hash.
    keys = np.concatenate(
        [
            back[shared].astype(">u8").view(np.uint8).reshape(len(shared), 8),
            fingerprints.sketches[shared].view(np.uint8),
        ],
        axis=1,
    )
    rows = np.ascontiguousarray(keys).view(f"V{keys.shape[1]}").reshape(-1)
    _, first, copies = np.unique(rows, return_index=True, return_inverse=True)
    labels[shared] = shared[first][copies]
    places = np.concatenate([shared[first], np.flatnonzero(counts[back] == 1)])
    # Stable: within a bucket the sketches stay in the order of their bytes.
    places = places[np.argsort(back[places], kind="stable")]
    sizes = np.bincount(back[places], minlength=len(hashes))
    return _Buckets(hashes, places, np.cumsum(sizes) - sizes, sizes), labels


def _link_buckets(
    fingerprints: Fingerprints, buckets: _Buckets, labels: Indices, one: Indices, other: Indices
) -> Indices:
    """Return the labels after all images of these pairs of buckets were compared."""
    pairs = buckets.counts[one] * buckets.counts[other]
    few = pairs <= _FEW
    for left, right in _image_pairs(buckets, one[few], other[few]):
        apart = labels[left] != labels[right]
        labels = _link(labels, *_similar_pairs(fingerprints, left[apart], right[apart]))
    for first, second in zip(one[~few].tolist(), other[~few].tolist(), strict=True):
        parts = [
            buckets.places[buckets.starts[b] : buckets.starts[b] + buckets.counts[b]]
            for b in (first, second)
        ]
        for rows in np.array_split(parts[0], -(-len(parts[0]) // _ROWS)):
            if len(np.unique(labels[np.concatenate([rows, parts[1]])])) > 1:
                labels = _link(labels, *_similar_among(fingerprints, rows, parts[1]))
    return labels


def _image_pairs(
    buckets: _Buckets, one: Indices, other: Indices
) -> Iterator[tuple[Indices, Indices]]:
    """Yield every image of one bucket with every image of the other, for each pair of buckets."""
    pairs = buckets.counts[one] * buckets.counts[other]
    ends = np.cumsum(pairs)
    cuts = np.searchsorted(ends, np.arange(_CHUNK, int(pairs.sum()), _CHUNK))
    for part in np.split(np.arange(len(one)), cuts):
        sizes = pairs[part]
        inside = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        columns = np.repeat(buckets.counts[other[part]], sizes)
        left = np.repeat(buckets.starts[one[part]], sizes) + inside // columns
        right = np.repeat(buckets.starts[other[part]], sizes) + inside % columns
        yield buckets.places[left], buckets.places[right]


# -- sketches --------------------------------------------------------------------------------------


def _similar_pairs(
    fingerprints: Fingerprints, one: Indices, other: Indices
) -> tuple[Indices, Indices]:
    """Return the pairs whose sketches correlate enough."""
    similar = np.zeros(len(one), dtype=bool)
    for start in range(0, len(one), _CHUNK):
        part = slice(start, start + _CHUNK)
        a = fingerprints.sketches[one[part]].astype(np.float32)
        b = fingerprints.sketches[other[part]].astype(np.float32)
        product = np.einsum("np,np->n", a, b)
        norm = np.einsum("np,np->n", a, a).astype(np.float64) * np.einsum("np,np->n", b, b)
        similar[part] = _correlate(product, norm)
    return one[similar], other[similar]


def _similar_among(
    fingerprints: Fingerprints, one: Indices, other: Indices
) -> tuple[Indices, Indices]:
    """Return all pairs of an image of `one` and an image of `other` whose sketches correlate."""
    a = fingerprints.sketches[one].astype(np.float32)
    b = fingerprints.sketches[other].astype(np.float32)
    squares = [np.einsum("np,np->n", part, part).astype(np.float64) for part in (a, b)]
    left, right = np.nonzero(_correlate(a @ b.T, np.outer(*squares)))
    return one[left], other[right]


def _correlate(product: NDArray[np.float32], norm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether sketches with this product and this product of squared lengths are alike.

    Sums of 255 products of int8 are below 2^24, so float32 holds them exactly in any order.
    """
    exact = product.astype(np.float64)
    # correlation >= LIKENESS, squared: no root and no division by zero.
    alike: NDArray[np.bool_] = (exact > 0) & (exact**2 >= LIKENESS**2 * norm)
    return alike


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


# -- hashes that are close -------------------------------------------------------------------------


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
    _, crowd, counts = np.unique(keys, return_inverse=True, return_counts=True)
    reach = np.where(counts <= CROWD, CROWD, REACH)[crowd]
    places = np.arange(len(keys))
    for step in range(1, CROWD):
        places = places[(places + step < len(keys)) & (step <= reach[places])]
        places = places[keys[places] == keys[places + step]]
        if len(places) == 0:
            return
        distances = hamming_distances(values[places], values[places + step])
        near = places[distances <= DISTANCE]
        yield order[near], order[near + step]
