"""The published torchcross 0.0.6: `FewShotMetaDataset`, indices only. Runs in the peers'
environment.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from torchcross.data.metadataset import FewShotMetaDataset, few_shot

from torchcross.data import TaskDescription, TaskSource, TaskTarget

Plan = tuple[Any, Any, Any, Any]
ENDLESS = 10**12


class Labels(TaskSource):
    """A source of labels; with `output_indices=True` no item is ever read."""

    def __init__(self, labels: np.ndarray, target: TaskTarget, classes: int) -> None:
        self.labels = labels
        self.task_description = TaskDescription(target, {c: str(c) for c in range(classes)})

    def __getitem__(self, index: int) -> Any:
        raise AssertionError(f"sample {index} was read, and only labels are sampled here")

    def __len__(self) -> int:
        return len(self.labels)


def contestants(
    inputs: dict[str, np.ndarray], kind: str, ways: str, shots: str, queries: str
) -> dict[str, Any]:
    np.random.seed(0)  # noqa: NPY002 (it draws from this global generator)
    random.seed(0)
    labels = inputs["labels"]
    target = (
        TaskTarget.MULTICLASS_CLASSIFICATION
        if kind == "multiclass"
        else TaskTarget.MULTILABEL_CLASSIFICATION
    )
    classes = labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1
    # A length makes it draw episodes with replacement between them, which spares it a removal per
    # episode.
    dataset = FewShotMetaDataset(
        Labels(labels, target, classes),
        n_support_samples_per_class=int(shots),
        n_query_samples_per_class=int(queries),
        filter_classes_min_samples=0,
        length=ENDLESS,
        output_indices=True,
    )
    return {"torchcross 0.0.6": episodes(dataset, classes, int(ways))}


def episodes(dataset: FewShotMetaDataset, classes: int, ways: int) -> Callable[[int], Plan]:
    endless: Iterator[Any] = iter(dataset)

    def work(count: int) -> Plan:
        for _ in range(count):
            # As SubTaskRandomFewShotMetaDataset does between episodes, with a fixed number of ways.
            dataset.used_classes = (
                random.sample(range(classes), ways) if ways < classes else list(range(classes))
            )
            task = next(endless)
        support, support_labels = zip(*task.support, strict=True)
        query, query_labels = zip(*task.query, strict=True)
        return support, np.stack(support_labels), query, np.stack(query_labels)

    return work


def main(inputs: dict[str, np.ndarray], shots: str, count: str) -> dict[str, np.ndarray]:
    """The sizes of `count` multi-label supports, from the function that draws them."""
    np.random.seed(0)  # noqa: NPY002 (it draws from this global generator)
    labels = inputs["labels"]
    classes = {c: str(c) for c in range(labels.shape[1])}
    positives, negatives = few_shot.get_indices(
        labels, classes, TaskTarget.MULTILABEL_CLASSIFICATION
    )
    sizes = [
        len(few_shot.multilabel_few_shot_sample(labels, positives, negatives, int(shots), classes))
        for _ in itertools.repeat(None, int(count))
    ]
    return {"sizes": np.array(sizes)}
