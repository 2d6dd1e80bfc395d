"""Supports, queries and predictions for the tests of converged heads."""

import pytest
import torch
from torch import nn

from tests.algorithms.cases import labels_of
from torchcross.algorithms import LogisticRegression
from torchcross.episode import Batch
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal
from torchcross.task import Task

KINDS = {
    "binary": Binary(),
    "multiclass": MultiClass(["a", "b", "c"]),
    "multilabel": MultiLabel(["a", "b", "c"]),
    "ordinal": Ordinal({0: "none", 1: "slight", 4: "some", 10: "severe"}),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


class Once(nn.Module):
    """Features are the images, in a dtype that a parameter says."""

    def __init__(self, dtype):
        super().__init__()
        self.factor = nn.Parameter(torch.ones((), dtype=dtype))

    def forward(self, x):
        return x * self.factor


def features_and_labels(target, samples=24, width=40, seed=0, missing=0):
    generator = torch.Generator().manual_seed(seed)
    labels = labels_of(target, samples + 9)
    shift = torch.randn(5, width, generator=generator, dtype=torch.float64)
    codes = labels.reshape(len(labels), -1)
    features = torch.randn(len(labels), width, generator=generator, dtype=torch.float64)
    features = 1 + features + sum(column[:, None] * shift[at] for at, column in enumerate(codes.T))
    labels = labels.clone()
    hidden = torch.randperm(samples, generator=generator)[:missing]
    if target.label_shape:
        labels[hidden, hidden % labels.shape[1]] = -1
    else:
        labels[hidden] = -1
    return features[:samples], labels[:samples], features[samples:]


def predicted(target, support, labels, query, **options):
    learner = LogisticRegression(Once(support.dtype), **options)
    return learner.adapt(Batch(support, labels), Task("made-up", target))(query).probabilities
