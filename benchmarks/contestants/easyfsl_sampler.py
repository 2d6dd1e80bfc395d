"""easyfsl 1.5.0: `TaskSampler`. Runs in the peers' environment."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.utils.data
from torch import Tensor

Plan = tuple[Any, Any, Any, Any]


class _SamplerWithSource(torch.utils.data.Sampler[Any]):
    """torch's Sampler as easyfsl knows it: newer ones no longer take `data_source`."""

    def __init__(self, data_source: object) -> None:
        pass


torch.utils.data.Sampler = _SamplerWithSource  # type: ignore[misc,assignment]

from easyfsl.datasets import FewShotDataset  # noqa: E402
from easyfsl.samplers import TaskSampler  # noqa: E402

ENDLESS = 10**12


class Labels(FewShotDataset):
    """Never read: TaskSampler only asks for the labels."""

    def __init__(self, labels: list[int]) -> None:
        self.labels = labels

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        raise AssertionError(f"sample {item} was read, and only labels are sampled here")

    def __len__(self) -> int:
        return len(self.labels)

    def get_labels(self) -> list[int]:
        return self.labels


def contestants(
    inputs: dict[str, np.ndarray], kind: str, ways: str, shots: str, queries: str
) -> dict[str, Any]:
    assert kind == "multiclass", "easyfsl samples multi-class tasks only"
    random.seed(0)
    n, k, q = int(ways), int(shots), int(queries)
    labels = inputs["labels"].tolist()
    sampler = TaskSampler(Labels(labels), n, k, q, n_tasks=ENDLESS)
    return {
        "easyfsl 1.5.0, TaskSampler": plans(sampler, labels),
        "easyfsl 1.5.0, TaskSampler, indices only": indices(sampler, n, k, q),
    }


def plans(sampler: TaskSampler, labels: list[int]) -> Callable[[int], Plan]:
    """Full plans: its collation splits the batch and maps the labels; a sample's "image" is its
    index.
    """
    endless = iter(sampler)
    items = [(torch.tensor(index), label) for index, label in enumerate(labels)]

    def work(count: int) -> Plan:
        for _ in range(count):
            batch = [items[index] for index in next(endless)]
            support, support_labels, query, query_labels, _ = sampler.episodic_collate_fn(batch)
        return support, support_labels, query, query_labels

    return work


def indices(sampler: TaskSampler, ways: int, shots: int, queries: int) -> Callable[[int], Plan]:
    """Less than a plan: bare indices; the labels are constants that this driver knows from their
    order.
    """
    endless = iter(sampler)
    support_labels, query_labels = (
        np.repeat(np.arange(ways), shots),
        np.repeat(np.arange(ways), queries),
    )

    def work(count: int) -> Plan:
        for _ in range(count):
            x = np.array(next(endless)).reshape(ways, shots + queries)
            support, query = x[:, :shots].ravel(), x[:, shots:].ravel()
        return support, support_labels, query, query_labels

    return work
