"""learn2learn 0.2.0: task descriptions (indices before loading). Runs in the peers' environment."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from learn2learn.data import MetaDataset, Taskset
from learn2learn.data.transforms import FusedNWaysKShots, KShots, NWays, RemapLabels
from torch.utils.data import Dataset

Plan = tuple[Any, Any, Any, Any]


class Labels(Dataset[Any]):
    """Never read: the labels are handed to MetaDataset, and LoadData is left out."""

    def __init__(self, length: int) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length


def contestants(
    inputs: dict[str, np.ndarray], kind: str, ways: str, shots: str, queries: str
) -> dict[str, Any]:
    assert kind == "multiclass", "learn2learn samples multi-class tasks only"
    random.seed(0)
    labels = inputs["labels"]
    of_class = {int(c): np.flatnonzero(labels == c).tolist() for c in np.unique(labels)}
    dataset = MetaDataset(Labels(len(labels)), labels_to_indices=of_class)
    n, k, q = int(ways), int(shots), int(queries)
    unfused = [NWays(dataset, n), KShots(dataset, k + q), RemapLabels(dataset)]
    fused = [FusedNWaysKShots(dataset, n, k + q), RemapLabels(dataset)]
    return {
        "learn2learn 0.2.0, NWays + KShots": plans(Taskset(dataset, unfused), n, k, q),
        "learn2learn 0.2.0, FusedNWaysKShots": plans(Taskset(dataset, fused), n, k, q),
        "learn2learn 0.2.0, FusedNWaysKShots, indices only": indices(
            Taskset(dataset, fused[:1]), n, k, q
        ),
    }


def plans(taskset: Taskset, ways: int, shots: int, queries: int) -> Callable[[int], Plan]:
    """Full plans: every description's own transform (RemapLabels) maps the label to the episode's.

    Applied to (index, label) pairs instead of loaded samples, and without the collation and
    partition_task, which makes it almost three times as fast as `taskset[0]` with LoadData on
    samples that cost nothing.
    """
    label_of = taskset.dataset.indices_to_labels

    def work(count: int) -> Plan:
        for _ in range(count):
            chosen, labels = [], []
            for sample in taskset.sample_task_description():
                (remap,) = sample.transforms
                index, label = remap((sample.index, label_of[sample.index]))
                chosen.append(index)
                labels.append(label)
            # Descriptions come grouped by class.
            x = np.array(chosen).reshape(ways, shots + queries)
            y = np.array(labels).reshape(ways, shots + queries)
            support, support_labels = x[:, :shots].ravel(), y[:, :shots].ravel()
            query, query_labels = x[:, shots:].ravel(), y[:, shots:].ravel()
        return support, support_labels, query, query_labels

    return work


def indices(taskset: Taskset, ways: int, shots: int, queries: int) -> Callable[[int], Plan]:
    """Less than a plan: bare indices; the labels are constants that this driver knows from their
    order.
    """
    support_labels, query_labels = (
        np.repeat(np.arange(ways), shots),
        np.repeat(np.arange(ways), queries),
    )

    def work(count: int) -> Plan:
        for _ in range(count):
            description = taskset.sample_task_description()
            x = np.array([sample.index for sample in description]).reshape(ways, shots + queries)
            support, query = x[:, :shots].ravel(), x[:, shots:].ravel()
        return support, support_labels, query, query_labels

    return work
