"""Sources and one sampler of every kind, for several tests."""

from __future__ import annotations

import numpy as np

import torchcross as tx
from torchcross.data import LabelSource, MetaDatasetShots
from torchcross.targets import MultiClass, MultiLabel


def multiclass_source(counts=(30, 30, 30, 30), name="toy", **kwargs):
    task = tx.Task("toy", MultiClass([f"class {c}" for c in range(len(counts))]))
    return LabelSource(np.repeat(np.arange(len(counts)), counts), task, name=name, **kwargs)


def multilabel_source(samples=90, labels=3, **kwargs):
    answers = np.array(
        [[number >> place & 1 for place in range(labels)] for number in range(samples)]
    )
    return LabelSource(
        answers, tx.Task("toy", MultiLabel([f"label {c}" for c in range(labels)])), **kwargs
    )


SAMPLERS = {
    "fixed": lambda: tx.EpisodeSampler(multiclass_source(), ways=3, shots=2, queries=4),
    "drawn": lambda: tx.EpisodeSampler(
        multiclass_source(), ways=(2, None), shots=(1, 5), queries=4, seed=8
    ),
    "variable": lambda: tx.EpisodeSampler(multiclass_source(), shots=MetaDatasetShots(), queries=4),
    "natural": lambda: tx.EpisodeSampler(
        multiclass_source(), ways=2, shots=2, queries=4, query="natural"
    ),
    "natural support": lambda: tx.EpisodeSampler(
        multiclass_source((40, 30, 20, 10)), shots=(1, 3), queries=4, support="natural"
    ),
    "natural support of labels": lambda: tx.EpisodeSampler(
        multilabel_source(), ways=2, shots=2, queries=3, support="natural", query="natural"
    ),
    "subjects": lambda: tx.EpisodeSampler(
        multiclass_source(groups=np.arange(120) // 3), shots=2, queries=4
    ),
    "labels": lambda: tx.EpisodeSampler(multilabel_source(), shots=2, queries=3),
    "disjoint": lambda: tx.EpisodeSampler(
        multiclass_source(), ways=3, shots=2, queries=4, disjoint=6
    ),
    "mixture": lambda: tx.EpisodeSampler(
        [multiclass_source(), multilabel_source(name="other")], shots=2, queries=3, weights=[1, 2.5]
    ),
}
