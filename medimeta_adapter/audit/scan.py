"""One pass over the pixels, block by block: a digest and a fingerprint of every image."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.audit.perceptual_hash import Fingerprints, fingerprints_of
from torchcross._kit.arrays import Indices
from torchcross._kit.threads import results_in_order
from torchcross.errors import TorchcrossError

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, how much is done, of how much)."""

_BLOCK_BYTES = 1 << 21
_PEEKS = 16
_MOST_WORKERS = 4


class PixelRows(Protocol):
    """What a scan reads from: any rows as uint8 (n, H, W) or (n, H, W, C)."""

    def rows(self, indices: Indices) -> NDArray[np.uint8]: ...


@dataclass(frozen=True, eq=False)
class Scan:
    """What is known of every row after a scan.

    digests: 128 bits that equal images share. fingerprints: empty if they were not wanted.
    constant: whether the image has one colour. read: whether it could be read. failures: the ranges
    that could not, with the reasons.
    """

    digests: NDArray[np.uint64]
    fingerprints: Fingerprints
    constant: NDArray[np.bool_]
    read: NDArray[np.bool_]
    failures: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Block:
    """The results of the rows `start` to `stop`; with an error, those of unread rows."""

    start: int
    stop: int
    digests: NDArray[np.uint64]
    constant: NDArray[np.bool_]
    fingerprints: Fingerprints
    error: str = ""


def default_workers() -> int:
    """Return how many threads scan: hashing, arithmetic and reading run beside each other."""
    return min(_MOST_WORKERS, os.cpu_count() or 1)


def scan(
    pixels: PixelRows,
    count: int,
    image_bytes: int,
    *,
    with_fingerprints: bool = True,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Scan:
    """Read every row once, a few blocks of two megabytes at a time.

    progress: called with the number of rows that are done.
    """
    blocks, failures = [], []
    read = np.zeros(count, dtype=bool)
    size = max(1, _BLOCK_BYTES // max(1, image_bytes))
    starts = range(0, count, size)
    scan_block = partial(_scan_block, pixels, count, size, with_fingerprints)
    for block in results_in_order(starts, scan_block, workers):
        blocks.append(block)
        read[block.start : block.stop] = not block.error
        if block.error:
            failures.append(f"rows {block.start}..{block.stop - 1}: {block.error}")
        if progress is not None:
            progress(block.stop)
    return Scan(
        np.concatenate([np.zeros((0, 2), dtype=np.uint64), *(block.digests for block in blocks)]),
        Fingerprints.concatenate([block.fingerprints for block in blocks]),
        np.concatenate([np.zeros(0, dtype=bool), *(block.constant for block in blocks)]),
        read,
        tuple(failures),
    )


def _scan_block(
    pixels: PixelRows, count: int, size: int, with_fingerprints: bool, start: int
) -> _Block:
    stop = min(start + size, count)
    try:
        images = np.ascontiguousarray(pixels.rows(np.arange(start, stop)))
    except (TorchcrossError, OSError) as error:
        unread = stop - start
        digests, constant = np.zeros((unread, 2), dtype=np.uint64), np.zeros(unread, dtype=bool)
        fingerprints = Fingerprints.zeros(unread if with_fingerprints else 0)
        return _Block(start, stop, digests, constant, fingerprints, str(error) or repr(error))
    fingerprints = fingerprints_of(images) if with_fingerprints else Fingerprints.zeros(0)
    return _Block(start, stop, _digests(images), _are_constant(images), fingerprints)


def _digests(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return (n, 2): BLAKE2b of the shape and the bytes of each image."""
    shape = "x".join(map(str, images.shape[1:])).encode()[:16]
    digests = b"".join(
        hashlib.blake2b(image, digest_size=16, person=shape).digest() for image in images
    )
    return np.frombuffer(digests, dtype="<u8").reshape(len(images), 2).astype(np.uint64)


def _are_constant(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return for each image whether all its pixels are equal."""
    flat = images.reshape(len(images), images.shape[1] * images.shape[2], -1)
    # A few pixels show of most images that they vary. Only the others are compared in full.
    peeks = flat[:, :: max(1, flat.shape[1] // _PEEKS)]
    constant: NDArray[np.bool_] = (peeks == flat[:, :1]).all(axis=(1, 2))
    for place in np.flatnonzero(constant):
        constant[place] = (flat[place] == flat[place, :1]).all()
    return constant
