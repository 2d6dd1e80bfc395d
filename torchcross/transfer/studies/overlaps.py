"""Images that a source and a target share: what is learned from must not be what is scored."""

from __future__ import annotations

import hashlib
from typing import final

import numpy as np

from torchcross._kit.tensor_bytes import tensor_bytes
from torchcross.data import TaskSource
from torchcross.transfer.studies.data import StudyData

_BLOCK = 256


@final
class SharedImages:
    """Counts the images that two datasets share; each dataset is read once."""

    def __init__(self, data: StudyData) -> None:
        self._data = data
        self._digests: dict[str, frozenset[bytes]] = {}

    def count(self, one: str, other: str) -> int:
        return len(self._digests_of(one) & self._digests_of(other))

    def _digests_of(self, name: str) -> frozenset[bytes]:
        if name not in self._digests:
            self._digests[name] = image_digests(self._data.open(name))
        return self._digests[name]


def image_digests(source: TaskSource) -> frozenset[bytes]:
    """A digest of the pixels of every image."""
    digests: set[bytes] = set()
    for start in range(0, len(source), _BLOCK):
        images = source.read(np.arange(start, min(start + _BLOCK, len(source))))
        digests.update(
            hashlib.blake2b(tensor_bytes(image), digest_size=16).digest() for image in images
        )
    return frozenset(digests)
