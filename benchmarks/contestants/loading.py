"""Episodes as float tensors from one memory map: this library's loader, and a Dataset read item by
item.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import torchcross as tx
from torchcross.targets import MultiClass

Images = tuple[Tensor, Tensor, Tensor, Tensor]


def contestants(
    inputs: dict[str, np.ndarray], file: str, *workers: str
) -> dict[str, Callable[[int], Any]]:
    images = np.load(file, mmap_mode="r")
    task = tx.Task("benchmark", MultiClass([f"c{c}" for c in range(10)]))
    sampler = tx.EpisodeSampler(
        tx.TensorSource(images, inputs["labels"], task), ways=5, shots=5, queries=10, seed=0
    )
    found: dict[str, Callable[[int], Any]] = {}
    for number in map(int, workers):
        found[f"item by item, {number} workers"] = reading(
            lambda n, w=number: item_by_item(images, sampler, n, w)
        )
        found[f"ours, {number} workers"] = reading(lambda n, w=number: ours(sampler, n, w))
        if number:
            found[f"ours, {number} workers, float afterwards"] = reading(
                lambda n, w=number: ours_bytes(sampler, n, w)
            )
    return found


def reading(episodes: Callable[[int], Iterator[Images]]) -> Callable[[int], Any]:
    """A new loader for every round, so nothing is read ahead while another contestant is timed."""

    def work(count: int) -> Any:
        (last,) = deque(episodes(count), maxlen=1)
        # Enough to see that all contestants read the same.
        return [f"{part.dtype} {list(part.shape)} {part.double().sum():.6f}" for part in last]

    return work


def ours(sampler: tx.EpisodeSampler, count: int, workers: int) -> Iterator[Images]:
    for episode in tx.EpisodeLoader(sampler, count, workers=workers, transform=as_float):
        yield episode.support.x, episode.support.y, episode.query.x, episode.query.y


def ours_bytes(sampler: tx.EpisodeSampler, count: int, workers: int) -> Iterator[Images]:
    """Bytes leave the workers, and a quarter of the traffic; they become floats where they are
    used.
    """
    for episode in tx.EpisodeLoader(sampler, count, workers=workers):
        read = episode.map(as_float)
        yield read.support.x, read.support.y, read.query.x, read.query.y


class Items(Dataset[Tensor]):
    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __getitem__(self, index: int) -> Tensor:
        return as_float(torch.from_numpy(np.array(self.images[index])))


def item_by_item(
    images: np.ndarray, sampler: tx.EpisodeSampler, count: int, workers: int
) -> Iterator[Images]:
    """The usual way: the plans' indices as a batch sampler, torch's own collation."""
    plans = sampler.batch(range(count))
    indices = [np.concatenate([plan.support, plan.query]).tolist() for plan in plans]
    loader = DataLoader(Items(images), batch_sampler=indices, num_workers=workers)
    for plan, batch in zip(plans, loader, strict=True):
        support, query = batch.split([len(plan.support), len(plan.query)])
        # The plan's arrays are read-only.
        support_labels, query_labels = (
            torch.tensor(plan.support_labels),
            torch.tensor(plan.query_labels),
        )
        yield support, support_labels, query, query_labels


def as_float(images: Tensor) -> Tensor:
    return images.float().div_(255)
