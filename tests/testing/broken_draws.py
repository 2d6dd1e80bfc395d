"""Samplers whose plans are right one by one, pure, and wrong together: every one has one fault."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

import torchcross as tx
from tests.testing.their_samplers import plan_of
from torchcross.targets import MultiClass
from torchcross.testing import NumberedSource

COUNTS = (40, 40, 40, 40, 40)
UNEQUAL = (120, 40, 30, 20, 20)


def exclusive_source(counts=COUNTS):
    labels = np.random.Generator(np.random.Philox(key=7)).permutation(
        np.repeat(np.arange(len(counts)), counts)
    )
    return NumberedSource(
        tx.Task("toy", MultiClass(list("abcdefghijklmnopqrst")[: len(counts)])), labels
    )


class Uniform:
    """Everything is equally likely, as it should be. The others change one step of it."""

    counts: tuple[int, ...] = COUNTS
    asked: dict[str, Any] = {"ways": 3, "shots": 2, "queries": 4}

    def __init__(self, seed=0):
        self._source = exclusive_source(self.counts)
        self.seed = seed

    def source(self, name):
        return self._source

    def number(self, index):
        return index

    def __getitem__(self, index):
        number = self.number(index)
        generator = self.generator(number)
        classes = sorted(int(c) for c in self.classes(number, generator))
        shots = self.shots(generator, len(classes))
        support, members = [], []
        for c in classes:
            order = self.order(number, c, np.flatnonzero(self._source.labels == c), generator)
            chosen, rest = self.divide(c, order, shots)
            support.append(chosen)
            members.append(rest)
        query = self.query(members, generator)
        sides = [np.concatenate(support), np.concatenate(query)]
        labels = [np.searchsorted(classes, self._source.labels[side]) for side in sides]
        return plan_of(
            index, "toy", tuple(classes), shots, sides[0], labels[0], sides[1], labels[1]
        )

    def generator(self, number):
        return np.random.Generator(np.random.Philox(key=[self.seed, number]))

    def ways(self, generator):
        ways = self.asked["ways"]
        return ways if isinstance(ways, int) else int(generator.integers(ways[0], ways[1] + 1))

    def classes(self, number, generator):
        return generator.choice(len(self.counts), self.ways(generator), replace=False)

    def shots(self, generator, ways):
        shots = self.asked["shots"]
        return shots if isinstance(shots, int) else int(generator.integers(shots[0], shots[1] + 1))

    def order(self, number, c, members, generator):
        return generator.permutation(members)

    def divide(self, c, order, shots):
        return order[:shots], order[shots:]

    def query(self, members, generator):
        queries = self.asked["queries"]
        if self.asked.get("query") != "natural":
            return [rest[:queries] for rest in members]
        return [generator.permutation(np.concatenate(members))[: queries * len(members)]]


class UniformRanges(Uniform):
    asked = {"ways": (2, 4), "shots": (1, 3), "queries": 2}


class UniformNatural(Uniform):
    asked = Uniform.asked | {"query": "natural"}


class UniformNaturalUnequal(UniformNatural):
    counts = UNEQUAL


# -- numbers of episodes ---------------------------------------------------------------------------


class AlwaysEpisodeZero(Uniform):
    def number(self, index):
        return 0


class EveryEpisodeTwice(Uniform):
    def number(self, index):
        return index // 2


class TwentyEpisodesOverAndOver(Uniform):
    def number(self, index):
        return index % 20


class KeepsTheClassesOfTheEpisodeBefore(Uniform):
    def classes(self, number, generator):
        return super().classes(number, self.generator(number // 3 + 2**40))


class SharesSamplesWithTheEpisodeBefore(Uniform):
    """Half of the samples of a class are left out; four episodes leave out the same half."""

    def order(self, number, c, members, generator):
        turn = number // 4
        other = np.random.Generator(np.random.Philox(key=[turn, c + 1]))
        return generator.permutation(other.permutation(members)[: len(members) // 2])


class GoesThroughEveryClassInEpochs(Uniform):
    """No sample comes again before all others came: episodes depend on those before."""

    def order(self, number, c, members, generator):
        each = self.asked["shots"] + self.asked["queries"]
        epoch, place = divmod(number, len(members) // each)
        order = np.random.Generator(np.random.Philox(key=[epoch, c + 1])).permutation(members)
        return np.roll(order, -each * place)


class SupportBecomesQuery(Uniform):
    """What was the support of its class in the episode before stands in the query."""

    def order(self, number, c, members, generator):
        orders = [
            np.random.Generator(np.random.Philox(key=[near, c + 1])).permutation(members)
            for near in (number, max(number - 1, 0))
        ]
        now, before = orders[0][:2], orders[1][:2]
        rest = np.setdiff1d(members, np.concatenate([now, before]))
        return np.concatenate([now, np.setdiff1d(before, now), generator.permutation(rest)])


# -- classes, ways and shots -----------------------------------------------------------------------


class NeverTheLastClass(Uniform):
    """Off by one."""

    def classes(self, number, generator):
        return generator.choice(len(self.counts) - 1, 3, replace=False)


class NeverTheFirstClass(Uniform):
    def classes(self, number, generator):
        return 1 + generator.choice(len(self.counts) - 1, 3, replace=False)


class AlwaysTheSameClasses(Uniform):
    def classes(self, number, generator):
        return [0, 1, 2]


class ClassesInTurn(Uniform):
    def classes(self, number, generator):
        return (number + np.arange(3)) % len(self.counts)


class NeighbouringClasses(Uniform):
    """Every class as often as any other, and always with the next two."""

    def classes(self, number, generator):
        return (generator.integers(len(self.counts)) + np.arange(3)) % len(self.counts)


class NeighboursOfManyClasses(Uniform):
    counts = (12,) * 20

    def classes(self, number, generator):
        return (generator.integers(len(self.counts)) + np.arange(3)) % len(self.counts)


class LargeClassesMoreOften(UniformNaturalUnequal):
    asked = Uniform.asked

    def classes(self, number, generator):
        share = np.array(self.counts) / sum(self.counts)
        return generator.choice(len(self.counts), 3, replace=False, p=share)


class WaysAtTheLowerEnd(UniformRanges):
    def ways(self, generator):
        return 2


class WaysNeverAtTheUpperEnd(UniformRanges):
    """`range` where its end should be included."""

    def ways(self, generator):
        return int(generator.integers(2, 4))


class ShotsAtTheLowerEnd(UniformRanges):
    def shots(self, generator, ways):
        return 1


class ShotsNeverAtTheUpperEnd(UniformRanges):
    def shots(self, generator, ways):
        return int(generator.integers(1, 3))


class ShotsFollowWays(UniformRanges):
    def shots(self, generator, ways):
        return ways - 1


# -- samples ---------------------------------------------------------------------------------------


class FirstHalfOfEachClass(Uniform):
    def order(self, number, c, members, generator):
        return generator.permutation(members[: len(members) // 2])


class EverySecondSample(Uniform):
    def order(self, number, c, members, generator):
        return generator.permutation(members[::2])


class SomeHalfOfEachClass(Uniform):
    """Half of each class, without a pattern."""

    def order(self, number, c, members, generator):
        half = np.random.Generator(np.random.Philox(key=[99, c])).permutation(members)
        return generator.permutation(half[: len(half) // 2])


class NeverTheLastSample(Uniform):
    def order(self, number, c, members, generator):
        return generator.permutation(members[:-1])


class NeverTheFirstSample(Uniform):
    def order(self, number, c, members, generator):
        return generator.permutation(members[1:])


class OneSampleOfAllNever(Uniform):
    def order(self, number, c, members, generator):
        return generator.permutation(members if c else np.delete(members, 17))


class AFavouriteSample(Uniform):
    """One sample of a class is in every episode of the class."""

    def order(self, number, c, members, generator):
        order = generator.permutation(members)
        return order if c else np.concatenate([[members[3]], order[order != members[3]]])


class EarlySamplesMoreOften(Uniform):
    def order(self, number, c, members, generator):
        share = 1 / (10.0 + np.arange(len(members)))
        return generator.choice(members, 6, replace=False, p=share / share.sum())


class NeighbouringSamples(Uniform):
    """A run of samples that starts anywhere."""

    def order(self, number, c, members, generator):
        return np.roll(members, int(generator.integers(len(members))))


class SupportFromTheFirstHalf(Uniform):
    """All samples are drawn; each of them on one side only."""

    def order(self, number, c, members, generator):
        half = len(members) // 2
        first, second = generator.permutation(members[:half]), generator.permutation(members[half:])
        return np.concatenate([first[: self.asked["shots"]], second])


class AFixedSupport(Uniform):
    def order(self, number, c, members, generator):
        return np.concatenate([members[:2], generator.permutation(members[2:])])


class AFixedQuery(Uniform):
    def order(self, number, c, members, generator):
        return np.concatenate([generator.permutation(members[4:])[:2], members[:4]])


class LeastSampleToSupport(Uniform):
    """Draws well, and divides by order: sorted samples, the first ones to the support."""

    def order(self, number, c, members, generator):
        return np.sort(generator.permutation(members)[:6])


# -- a natural query -------------------------------------------------------------------------------


class BalancedInsteadOfNatural(UniformNatural):
    def query(self, members, generator):
        return [rest[: self.asked["queries"]] for rest in members]


class ClassesAlikeInANaturalQuery(UniformNaturalUnequal):
    """A class first, then a sample of it: not balanced, and not in proportion."""

    def query(self, members, generator):
        picks = np.bincount(generator.integers(len(members), size=12), minlength=len(members))
        picks = np.minimum(picks, [len(rest) for rest in members])
        short = 12 - picks.sum()
        picks[np.argmax([len(rest) for rest in members])] += short
        return [rest[:count] for rest, count in zip(members, picks.tolist(), strict=True)]


# -- seeds -----------------------------------------------------------------------------------------


class IgnoresItsSeed(Uniform):
    def generator(self, number):
        return np.random.Generator(np.random.Philox(key=[5, number]))


class AddsItsSeedToTheNumber(Uniform):
    """Episode 1 of seed 11 is episode 0 of seed 12."""

    def generator(self, number):
        return np.random.Generator(np.random.Philox(key=[5, number + self.seed]))


def torch_is_untouched():
    return torch.utils.data.get_worker_info() is None and "RANK" not in os.environ
