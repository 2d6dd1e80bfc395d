"""Plans over exclusive classes: exactly k of each class, fast where every episode has the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross._arrays import Indices, frozen
from torchcross.data import metadataset
from torchcross.data._shuffle import Deck, Used, any_order, choose
from torchcross.data.fast_partition import FastPartitionDrawer
from torchcross.data.feasibility import Eligible, eligible_classes
from torchcross.data.index import ClassIndex, partition_supply
from torchcross.data.request import MetaDatasetShots, Request
from torchcross.data.source import TaskSource
from torchcross.data.subjects import divide, split
from torchcross.data.words import Stream, Words
from torchcross.plan import EpisodePlan
from torchcross.targets.strata import Partition

__all__ = ["PartitionDrawer"]

Classes = tuple[int, ...] | None
# Which subjects stand in the query (True) and which in the support.
Sides = dict[int, bool]


class PartitionDrawer:
    """Any request, one episode at a time. Without a free choice that fails (subjects), the first attempt succeeds."""

    exclusive = True

    def __init__(self, request: Request, source: TaskSource, strata: Partition, stream: Stream) -> None:
        self.request = request
        self.name = source.name
        self.stream = stream
        self.groups = source.groups if request.groups == "respect" else None
        self.index = ClassIndex.of_partition(strata)
        self.eligible: Eligible = eligible_classes(
            request, partition_supply(self.index, self.groups), source.task.target, source.name
        )

    def fast(self) -> FastPartitionDrawer | None:
        """The fast way, where every episode has one shape and nothing can fail."""
        one_shape = self.request.query == "balanced" and not isinstance(self.request.shots, MetaDatasetShots)
        if not one_shape or self.groups is not None:
            return None
        return FastPartitionDrawer(self.request, self.name, self.stream, self.index, self.eligible)

    def attempt(self, number: int, attempt: int, used: Used = None, classes: Classes = None) -> EpisodePlan | None:
        """Episode `number` without the `used` samples, or None where this attempt's choices lead nowhere."""
        words = self.stream.words(number, attempt)
        if classes is None:
            low, high = self.eligible.ways
            classes = choose(words, self.eligible.classes, low + words.below(high - low + 1))
        shots, queries = self._sizes(words, classes, used)
        if queries == 0:
            return None
        if self.request.query == "natural":
            picked = self._natural(words, self._out_of_reach(words, attempt, used, classes, shots), classes, shots)
        else:
            picked = self._balanced(words, used, classes, shots, queries)
        return None if picked is None else self._plan(number, classes, shots, *picked)

    def _sizes(self, words: Words, classes: Sequence[int], used: Used) -> tuple[list[int], int]:
        """Shots of every class, and queries per class."""
        if isinstance(self.request.shots, MetaDatasetShots):
            counts = [self.index.unused(c, used) for c in classes]
            return metadataset.sizes(words, counts, self.request.shots, self.request.queries)
        low, high = self.request.shot_range
        return [low + words.below(high - low + 1)] * len(classes), self.request.queries

    def fewer_shots(self, plan: EpisodePlan, shots: int, words: Words) -> EpisodePlan:
        """The same episode with the first `shots` samples of every class."""
        keep = (np.arange(len(plan.support)) % (len(plan.support) // plan.ways)) < shots
        return replace(
            plan,
            shots=shots,
            support=frozen(plan.support[keep]),
            support_labels=frozen(plan.support_labels[keep]),
        )

    def _balanced(
        self, words: Words, used: Used, classes: Sequence[int], shots: Sequence[int], queries: int
    ) -> tuple[list[list[int]], list[list[int]]] | None:
        """Classes in random order; where chance leaves a class no way, its subjects are divided by calculation."""
        support: list[list[int]] = [[] for _ in classes]
        query: list[list[int]] = [[] for _ in classes]
        sides: Sides = {}
        for position in any_order(words, len(classes)):
            members, need = self.index.members(classes[position]), shots[position]
            chance = dict(sides)
            drawn = self._both_sides(words, used, members, need, queries, chance)
            if drawn is None and self.groups is not None:
                free = members if used is None else members[~used[members]]
                chance = _divided(words, self.groups[free], need, queries, sides)
                drawn = self._both_sides(words, used, members, need, queries, chance) if chance else None
            if drawn is None:
                return None
            support[position], query[position] = drawn
            sides = chance
        return support, query

    def _both_sides(
        self, words: Words, used: Used, members: NDArray[Any], need: int, queries: int, sides: Sides
    ) -> tuple[list[int], list[int]] | None:
        """Samples go to the side that lacks most; a subject stays on the side it first went to."""
        deck, mine, theirs = Deck(words, used, members), list[int](), list[int]()
        while len(mine) < need or len(theirs) < queries:
            sample = deck.draw()
            if sample is None:
                return None
            to_query = len(theirs) < queries
            if self.groups is not None:
                subject = int(self.groups[sample])
                if subject not in sides:
                    sides[subject] = _prefers_query(words, len(mine), need, len(theirs), queries)
                to_query = sides[subject]
            if to_query and len(theirs) < queries:
                theirs.append(sample)
            elif not to_query and len(mine) < need:
                mine.append(sample)
        return mine, theirs

    def _out_of_reach(
        self, words: Words, attempt: int, used: Used, classes: Sequence[int], shots: Sequence[int]
    ) -> tuple[Used, Used] | None:
        """What support and query may not use. A free draw touches many subjects; where it failed, few are set apart."""
        if self.groups is None or attempt == 0:
            return used, used
        return split(words, self.groups, [self.index.members(c) for c in classes], used, max(shots))

    def _natural(
        self, words: Words, out_of_reach: tuple[Used, Used] | None, classes: Sequence[int], shots: Sequence[int]
    ) -> tuple[list[list[int]], list[list[int]]] | None:
        """The support has k of every class; the query is drawn from all that is left of these classes together."""
        if out_of_reach is None:
            return None
        support = []
        for c, need in zip(classes, shots, strict=True):
            deck = Deck(words, out_of_reach[0], self.index.members(c))
            drawn = [sample for _ in range(need) if (sample := deck.draw()) is not None]
            if len(drawn) < need:
                return None
            support.append(drawn)
        taken = {sample for samples in support for sample in samples}
        subjects = set() if self.groups is None else {int(self.groups[sample]) for sample in taken}
        deck = Deck(words, out_of_reach[1], *(self.index.members(c) for c in classes))
        wanted = self.request.queries * len(classes)
        query: list[list[int]] = [[] for _ in classes]
        found = 0
        while found < wanted:
            card = deck.draw_with_list()
            if card is None:
                return None
            sample, position = card
            if sample in taken or (self.groups is not None and int(self.groups[sample]) in subjects):
                continue
            query[position].append(sample)
            found += 1
        return support, query

    def _plan(
        self,
        number: int,
        classes: tuple[int, ...],
        shots: Sequence[int],
        support: list[list[int]],
        query: list[list[int]],
    ) -> EpisodePlan:
        return EpisodePlan(
            number,
            self.name,
            classes,
            shots[0] if isinstance(self.request.shots, int | tuple) else None,
            _joined(support),
            _labels_of(support),
            _joined(query),
            _labels_of(query),
        )


def _prefers_query(words: Words, in_support: int, need: int, in_query: int, queries: int) -> bool:
    """Whether the query lacks the larger share of what it needs; a coin where both lack the same."""
    query_lack, support_lack = (queries - in_query) * need, (need - in_support) * queries
    return query_lack > support_lack if query_lack != support_lack else words.below(2) == 1


def _divided(words: Words, owners: Indices, need: int, queries: int, sides: Sides) -> Sides:
    """Sides for all subjects that own samples of a class, beside those that are settled; empty where there are none."""
    subjects, owned = np.unique(owners, return_counts=True)
    sizes = dict(zip(subjects.tolist(), owned.tolist(), strict=True))
    need -= sum(size for subject, size in sizes.items() if sides.get(subject) is False)
    queries -= sum(size for subject, size in sizes.items() if sides.get(subject) is True)
    unsettled = [subject for subject in sizes if subject not in sides]
    order = [unsettled[place] for place in any_order(words, len(unsettled))]
    division = divide([sizes[subject] for subject in order], need, queries)
    if division is None:
        return {}
    return sides | {subject: not in_support for subject, in_support in zip(order, division, strict=True)}


def _joined(samples: list[list[int]]) -> Indices:
    return frozen(np.array([sample for group in samples for sample in group], dtype=np.int64))


def _labels_of(samples: list[list[int]]) -> Indices:
    return frozen(np.repeat(np.arange(len(samples)), [len(group) for group in samples]))
