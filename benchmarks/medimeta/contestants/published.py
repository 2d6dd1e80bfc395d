"""The published medimeta 0.0.6: item by item, and in torch's DataLoader. Runs in the peers'
environment.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from medimeta import MedIMeta
from torch import Tensor
from torch.utils.data import DataLoader


def contestants(
    inputs: dict[str, np.ndarray], root: str, dataset: str, threads: str, *workers: str
) -> dict[str, Callable[[int], Any]]:
    torch.set_num_threads(int(threads))
    source, episodes = MedIMeta(root, dataset, "class"), inputs["episodes"].tolist()
    found: dict[str, Callable[[int], Any]] = {
        "published": lambda count: one_by_one(source, episodes, count)
    }
    for number in workers:
        found[f"published, {number} workers"] = lambda count, n=int(number): loaded(
            source, episodes, count, n
        )
    return found


def one_by_one(source: MedIMeta, episodes: list[list[int]], count: int) -> Any:
    for episode in range(count or 1):
        images = torch.stack([source[row][0] for row in episodes[episode % len(episodes)]])
    return summary(images, count)


def loaded(source: MedIMeta, episodes: list[list[int]], count: int, workers: int) -> Any:
    batches = [episodes[episode % len(episodes)] for episode in range(count or 1)]
    for images, _ in DataLoader(source, batch_sampler=batches, num_workers=workers):
        last = images
    return summary(last, count)


def summary(images: Tensor, count: int) -> list[str]:
    if count:
        return [str(list(images.shape))]
    return [str(list(images.shape)), str(zlib.crc32(images.contiguous().numpy().tobytes()))]
