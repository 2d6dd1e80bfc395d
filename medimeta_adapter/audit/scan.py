"""One pass over the pixels, block by block: a digest of every image, its looks, and whether it is
one colour.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.audit.perceptual_hash import Looks, looks
from torchcross._kit.arrays import Indices
from torchcross.errors import TorchcrossError

__all__ = ["Progress", "Rows", "Scan", "default_workers", "scan"]

Progress = Callable[[str, int, int], None]
"""Told of (what, done, of how many)."""

_BLOCK_BYTES = 1 << 21
_PEEKS = 16
_MOST_WORKERS = 4


class Rows(Protocol):
    """What a scan reads from: any rows as uint8 (n, H, W) or (n, H, W, C)."""

    def rows(self, indices: Indices) -> NDArray[np.uint8]: ...


@dataclass(frozen=True, eq=False)
class Scan:
    """Of every row: 128 bits that equal images share, looks (empty where they were not asked for),
    one colour or not, and whether it could be read. `failures`: the ranges that could not, with
    their reasons.
    """

    digests: NDArray[np.uint64]
    looks: Looks
    constant: NDArray[np.bool_]
    read: NDArray[np.bool_]
    failures: tuple[str, ...]


def default_workers() -> int:
    """Threads for a scan: hashing, arithmetic and reading let each other run."""
    return min(_MOST_WORKERS, os.cpu_count() or 1)


def scan(
    pixels: Rows,
    count: int,
    image_bytes: int,
    *,
    with_looks: bool = True,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Scan:
    """Reads every row once, a few blocks of two megabytes at a time; `progress` is told how many
    rows are done.
    """
    digests = np.zeros((count, 2), dtype=np.uint64)
    constant, read = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    parts: list[Looks] = []
    failures = []
    step = max(1, _BLOCK_BYTES // max(1, image_bytes))
    for start, stop, found in _in_order(pixels, count, step, with_looks, workers):
        if isinstance(found, _Block):
            digests[start:stop], constant[start:stop], read[start:stop] = (
                found.digests,
                found.constant,
                True,
            )
            part = found.looks
        else:
            failures.append(f"rows {start}..{stop - 1}: {found}")
            part = Looks(
                np.zeros(stop - start, dtype=np.uint64),
                np.zeros((stop - start, 255), dtype=np.int8),
            )
        parts += [part] if with_looks else []
        if progress is not None:
            progress(stop)
    return Scan(digests, Looks.joined(parts), constant, read, tuple(failures))


@dataclass(frozen=True, eq=False)
class _Block:
    digests: NDArray[np.uint64]
    constant: NDArray[np.bool_]
    looks: Looks


def _in_order(
    pixels: Rows, count: int, step: int, with_looks: bool, workers: int
) -> Iterator[tuple[int, int, _Block | str]]:
    """Blocks as they stand in the file, at most two per worker under way."""
    with ThreadPoolExecutor(workers, thread_name_prefix="scan") as pool:
        waiting: deque[tuple[int, int, Future[_Block | str]]] = deque()
        try:
            for start in range(0, count, step):
                stop = min(start + step, count)
                waiting.append(
                    (start, stop, pool.submit(_look_at, pixels, start, stop, with_looks))
                )
                if len(waiting) >= 2 * workers:
                    first, end, future = waiting.popleft()
                    yield first, end, future.result()
            while waiting:
                first, end, future = waiting.popleft()
                yield first, end, future.result()
        finally:
            for _, _, future in waiting:
                future.cancel()


def _look_at(pixels: Rows, start: int, stop: int, with_looks: bool) -> _Block | str:
    try:
        images = np.ascontiguousarray(pixels.rows(np.arange(start, stop)))
    except (TorchcrossError, OSError) as error:
        return str(error)
    return _Block(
        _digests(images), _constant(images), looks(images) if with_looks else Looks.joined([])
    )


def _digests(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n, 2): BLAKE2b of the shape and the bytes."""
    person = "x".join(map(str, images.shape[1:])).encode()[:16]
    found = b"".join(
        hashlib.blake2b(image, digest_size=16, person=person).digest() for image in images
    )
    return np.frombuffer(found, dtype="<u8").reshape(len(images), 2).astype(np.uint64)


def _constant(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether all pixels are alike. Few places tell most images; the others are looked at in
    full.
    """
    flat = images.reshape(len(images), images.shape[1] * images.shape[2], -1)
    peeks = flat[:, :: max(1, flat.shape[1] // _PEEKS)]
    found: NDArray[np.bool_] = (peeks == flat[:, :1]).all(axis=(1, 2))
    for place in np.flatnonzero(found):
        found[place] = (flat[place] == flat[place, :1]).all()
    return found
