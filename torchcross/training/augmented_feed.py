"""Batches of images that are augmented as they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, final

from torchcross.data import Augmentation, MixedBatches, MixedBatchLoader
from torchcross.data.loading.batches import BatchPlan
from torchcross.training.feed import Feed


@final
class _AugmentedBatches:
    """What a loader reads batches from."""

    def __init__(self, batches: MixedBatches, augmentation: Augmentation) -> None:
        self._batches = batches
        self._augmentation = augmentation

    def __getitem__(self, number: int) -> BatchPlan:
        return self._batches[number]

    def read(self, plan: BatchPlan) -> Any:
        return self._augmentation(self._batches.read(plan))


@final
class AugmentedFeed(Feed):
    """Batches of images that are flipped, rotated and cropped at random; batch i never changes."""

    def __init__(self, batches: MixedBatches, augmentation: Augmentation, workers: int) -> None:
        self._batches = batches
        self._augmentation = augmentation
        self._workers = workers

    def read(self, start: int, stop: int, *, rank: int = 0, ranks: int = 1) -> Iterator[Any]:
        augmented: Any = _AugmentedBatches(self._batches, self._augmentation)
        yield from MixedBatchLoader(
            augmented, stop, start=start, rank=rank, ranks=ranks, workers=self._workers
        )

    def fingerprint(self, count: int) -> str:
        digest = hashlib.sha256(repr(self._augmentation).encode())
        for number in range(count):
            plan = self._batches[number]
            digest.update(f"\0{plan.source}\0".encode() + plan.samples.astype("<i8").tobytes())
        return digest.hexdigest()
