"""This adapter: episodes of given rows, into fresh tensors, into a buffer, as bytes, and through
the episode loader.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

import torchcross as tx
from medimeta_adapter import MedIMeta


def sampler_of(meta: MedIMeta, dataset: str, pixels: Any = "float") -> tx.EpisodeSampler:
    return tx.EpisodeSampler(
        meta.source(dataset, pixels=pixels), ways=5, shots=5, queries=10, seed=0
    )


def contestants(
    inputs: dict[str, np.ndarray], root: str, dataset: str, threads: str, *workers: str
) -> dict[str, Callable[[int], Any]]:
    torch.set_num_threads(int(threads))
    meta, episodes = MedIMeta(root), inputs["episodes"]
    floats, raw = meta.source(dataset, pixels="float"), meta.source(dataset)
    buffers = {
        source.pixels: torch.empty_like(source.images(episodes[0])) for source in (floats, raw)
    }
    found = {
        "ours, float": repeated(lambda rows: floats.images(rows), episodes),
        "ours, float, out=": repeated(
            lambda rows: floats.images(rows, out=buffers["float"]), episodes
        ),
        "ours, uint8": repeated(lambda rows: raw.images(rows), episodes),
        "ours, uint8, out=": repeated(
            lambda rows: raw.images(rows, out=buffers["uint8"]), episodes
        ),
    }
    for number in workers:
        for pixels in ("float", "uint8"):
            sampler = sampler_of(meta, dataset, pixels)
            found[f"ours, {pixels}, {number} workers"] = loaded(sampler, int(number))
    return found


def repeated(read: Callable[[np.ndarray], Tensor], episodes: np.ndarray) -> Callable[[int], Any]:
    def work(count: int) -> Any:
        for episode in range(count or 1):
            images = read(episodes[episode % len(episodes)])
        return summary(images, count)

    return work


def loaded(sampler: tx.EpisodeSampler, workers: int) -> Callable[[int], Any]:
    """A new loader for every round, so nothing is read ahead while another contestant is timed."""

    def episodes(count: int) -> Iterator[tuple[Tensor, Tensor]]:
        for episode in tx.EpisodeLoader(sampler, count or 1, workers=workers):
            yield episode.support.x, episode.query.x

    def work(count: int) -> Any:
        for parts in episodes(count):
            last = parts
        return summary(torch.cat(last), count)

    return work


def summary(images: Tensor, count: int) -> list[str]:
    """Asked for no episode, what is in the first, to the bit; else only the shape, so that checking
    costs nothing.
    """
    if count:
        return [str(list(images.shape))]
    values = images if images.is_floating_point() else images.float().div(127.5).sub(1)
    return [str(list(images.shape)), str(zlib.crc32(values.contiguous().numpy().tobytes()))]
