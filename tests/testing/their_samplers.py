"""A source and a sampler that owe the library nothing but their form."""

from __future__ import annotations

import numpy as np

import torchcross as tx
from torchcross.data import EpisodePlan
from torchcross.targets import MultiClass
from torchcross.testing import NumberedSource

ASKED = {"ways": 3, "shots": 2, "queries": 4}


def toy_source(groups=True):
    """Forty samples a class and a few unlabelled ones; three classes of five, twenty subjects."""
    labels = np.concatenate([np.arange(200) % 5, np.full(8, -1)])
    task = tx.Task("toy", MultiClass(list("abcde"), missing=-1))
    return NumberedSource(task, labels, groups=np.arange(208) // 8 if groups else None)


class TheirSampler:
    """Somebody's own sampler, which owes the library nothing but the form of a plan."""

    def __init__(self, source, ways, shots, queries, seed=0):
        self._source = source
        self.ways, self.shots, self.queries, self.seed = ways, shots, queries, seed

    def source(self, name):
        assert name == self._source.name
        return self._source

    def generator(self, index):
        return np.random.Generator(np.random.Philox(key=[self.seed, index]))

    def __getitem__(self, index):
        return self.draw(index, self.generator(index))

    def draw(self, index, generator):
        labels, groups = self._source.labels, self._source.groups
        classes = np.sort(
            generator.choice(self._source.task.target.num_classes, self.ways, replace=False)
        )
        owners = np.arange(len(labels)) if groups is None else groups
        to_query = generator.permutation(owners.max() + 1)[owners] % 2 == 0
        support = [
            generator.permutation(np.flatnonzero((labels == c) & ~to_query))[: self.shots]
            for c in classes
        ]
        query = [
            generator.permutation(np.flatnonzero((labels == c) & to_query))[: self.queries]
            for c in classes
        ]
        arrays = [
            np.concatenate(support),
            np.repeat(np.arange(self.ways), self.shots),
            np.concatenate(query),
            np.repeat(np.arange(self.ways), self.queries),
        ]
        return plan_of(index, self._source.name, tuple(classes.tolist()), self.shots, *arrays)


def plan_of(index, source, classes, shots, *arrays):
    frozen = [np.array(array, dtype=np.int64) for array in arrays]
    for array in frozen:
        array.flags.writeable = False
    return EpisodePlan(index, source, classes, shots, *frozen)


class TwelveEpisodes:
    """For a sampler class: it has a length, and no episode beyond it."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        if not 0 <= index < 12:
            raise IndexError(index)
        return super().__getitem__(index)  # type: ignore[misc]  # of the sampler class beside it
