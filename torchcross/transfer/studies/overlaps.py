"""Images that a source and a target share: what is learned from must not be what is scored."""

from __future__ import annotations

import hashlib

import numpy as np

from torchcross._kit.tensor_bytes import tensor_bytes
from torchcross.data import TaskSource

_BLOCK = 256


def image_digests(source: TaskSource) -> frozenset[bytes]:
    """A digest of the pixels of every image."""
    digests: set[bytes] = set()
    for start in range(0, len(source), _BLOCK):
        images = source.read(np.arange(start, min(start + _BLOCK, len(source))))
        digests.update(
            hashlib.blake2b(tensor_bytes(image), digest_size=16).digest() for image in images
        )
    return frozenset(digests)
