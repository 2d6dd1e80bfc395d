"""Plans over exclusive classes: exactly k of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.randomness import Stream, Words
from torchcross.data.sampling import meta_dataset
from torchcross.data.sampling.as_they_come import (
    PATIENCE,
    AsTheyCome,
    SidesByClass,
    fewer_natural_shots,
)
from torchcross.data.sampling.class_index import ClassIndex, partition_supply
from torchcross.data.sampling.fast_partition import FastPartitionDrawer
from torchcross.data.sampling.feasibility import Eligible, eligible_classes
from torchcross.data.sampling.request import MetaDatasetShots, Request
from torchcross.data.sampling.shuffle import Deck, Used, any_order, choose
from torchcross.data.sampling.subject_division import divide
from torchcross.data.sampling.subject_ledger import SamplePool, SubjectLedger, SubjectRuns
from torchcross.data.sources.source import TaskSource
from torchcross.plan import EpisodePlan
from torchcross.targets.strata import Partition

Classes = tuple[int, ...] | None
# Which subjects stand in the query (True) and which in the support (False).
Sides = dict[int, bool]


class PartitionDrawer:
    """Any request, one episode at a time. Without subjects the first attempt succeeds."""

    exclusive = True

    def __init__(
        self, request: Request, source: TaskSource, strata: Partition, stream: Stream
    ) -> None:
        self.request = request
        self.name = source.name
        self.stream = stream
        self.groups = source.groups if request.groups == "respect" else None
        self.index = ClassIndex.of_partition(strata)
        self.ledger = None if self.groups is None else SubjectLedger(self.index, self.groups)
        self.as_they_come = AsTheyCome(request, self.index, self.groups, self.ledger)
        self.eligible: Eligible = eligible_classes(
            request, partition_supply(self.index, self.groups), source.task.target, source.name
        )

    def fast(self) -> FastPartitionDrawer | None:
        """The fast way, where every episode has one shape and nothing can fail."""
        variable = isinstance(self.request.shots, MetaDatasetShots)
        natural = "natural" in (self.request.support, self.request.query)
        if variable or natural or self.groups is not None:
            return None
        return FastPartitionDrawer(self.request, self.name, self.stream, self.index, self.eligible)

    def attempt(
        self, number: int, attempt: int, used: Used = None, classes: Classes = None
    ) -> EpisodePlan | None:
        """Episode `number` without the `used` samples; None where this attempt fails."""
        words = self.stream.words(number, attempt)
        if classes is None:
            low, high = self.eligible.ways
            classes = choose(words, self.eligible.classes, low + words.below(high - low + 1))
        shots, queries = self._sizes(words, classes, used)
        if queries == 0:
            return None
        if self.request.support == "natural":
            sides = self.as_they_come.with_natural_support(
                words, attempt, used, classes, shots[0] * len(classes)
            )
        elif self.request.query == "natural":
            sides = self.as_they_come.with_natural_query(words, attempt, used, classes, shots)
        else:
            sides = self._draw_balanced(words, used, classes, shots, queries)
        return None if sides is None else self._plan(number, classes, shots, *sides)

    def _sizes(self, words: Words, classes: Sequence[int], used: Used) -> tuple[list[int], int]:
        """Shots of every class, and queries per class."""
        if isinstance(self.request.shots, MetaDatasetShots):
            counts = [self.index.count_unused(c, used) for c in classes]
            return meta_dataset.sizes(words, counts, self.request.shots, self.request.queries)
        low, high = self.request.shot_range
        return [low + words.below(high - low + 1)] * len(classes), self.request.queries

    def fewer_shots(self, plan: EpisodePlan, shots: int, words: Words) -> EpisodePlan:
        """The same episode with the first `shots` samples of every class.

        Of a natural support it is a part, drawn without a look at classes.
        """
        if self.request.support == "natural":
            return fewer_natural_shots(plan, shots, words)
        keep = (np.arange(len(plan.support)) % (len(plan.support) // plan.ways)) < shots
        return replace(
            plan,
            shots=shots,
            support=read_only(plan.support[keep]),
            support_labels=read_only(plan.support_labels[keep]),
        )

    def _draw_balanced(
        self, words: Words, used: Used, classes: Sequence[int], shots: Sequence[int], queries: int
    ) -> SidesByClass | None:
        """Classes in random order. Where chance fails for a class, its subjects are divided."""
        support: list[list[int]] = [[] for _ in classes]
        query: list[list[int]] = [[] for _ in classes]
        sides: Sides = {}
        for position in any_order(words, len(classes)):
            members, need = self.index.members(classes[position]), shots[position]
            new_sides = dict(sides)
            drawn = self._draw_both(words, used, members, need, queries, new_sides)
            if drawn is None and self.ledger is not None:
                runs = self.ledger.runs(classes[position], used)
                new_sides = _divide_subjects(words, runs, need, queries, sides)
                if new_sides:
                    subjects = self.ledger.count
                    drawn = _draw_by_side(words, runs, subjects, need, queries, new_sides)
            if drawn is None:
                return None
            support[position], query[position] = drawn
            sides = new_sides
        return support, query

    def _draw_both(
        self, words: Words, used: Used, members: NDArray[Any], need: int, queries: int, sides: Sides
    ) -> tuple[list[int], list[int]] | None:
        """Support and query of one class; adds the subjects that it places to `sides`.

        Samples go to the side that lacks most; a subject stays on the side it first went to. None
        where the samples run out, or where placed subjects make the wait too long.
        """
        deck, support, query = Deck(words, used, members), list[int](), list[int]()
        patience = deck.size if self.groups is None else PATIENCE * (need + queries)
        while len(support) < need or len(query) < queries:
            patience -= 1
            sample = deck.draw() if patience >= 0 else None
            if sample is None:
                return None
            to_query = len(query) < queries
            if self.groups is not None:
                subject = int(self.groups[sample])
                if subject not in sides:
                    sides[subject] = _prefers_query(words, len(support), need, len(query), queries)
                to_query = sides[subject]
            if to_query and len(query) < queries:
                query.append(sample)
            elif not to_query and len(support) < need:
                support.append(sample)
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
            _join(support),
            _labels_of(support),
            _join(query),
            _labels_of(query),
        )


def _prefers_query(words: Words, in_support: int, need: int, in_query: int, queries: int) -> bool:
    """Whether the query lacks the larger share of its need; a coin decides where they are equal."""
    query_lack, support_lack = (queries - in_query) * need, (need - in_support) * queries
    if query_lack == support_lack:
        return words.below(2) == 1
    return query_lack > support_lack


def _divide_subjects(
    words: Words, runs: SubjectRuns, need: int, queries: int, sides: Sides
) -> Sides:
    """Sides for all subjects that own samples of a class; those in `sides` stay where they are.

    Empty where there is no way.
    """
    sizes = dict(zip(runs.subjects.tolist(), runs.counts.tolist(), strict=True))
    need -= sum(size for subject, size in sizes.items() if sides.get(subject) is False)
    queries -= sum(size for subject, size in sizes.items() if sides.get(subject) is True)
    free = [subject for subject in sizes if subject not in sides]
    order = [free[place] for place in any_order(words, len(free))]
    division = divide([sizes[subject] for subject in order], need, queries)
    if division is None:
        return {}
    new_sides = [not in_support for in_support in division]
    return sides | dict(zip(order, new_sides, strict=True))


def _draw_by_side(
    words: Words, runs: SubjectRuns, subjects: int, need: int, queries: int, sides: Sides
) -> tuple[list[int], list[int]] | None:
    """Samples of a class all of whose subjects have a side."""
    in_query = np.zeros(subjects, dtype=bool)
    in_query[list(sides)] = list(sides.values())
    support = SamplePool.of_subjects([runs], ~in_query).draw(words, need)
    query = SamplePool.of_subjects([runs], in_query).draw(words, queries)
    if support is None or query is None:
        return None
    return support[0].tolist(), query[0].tolist()


def _join(samples: list[list[int]]) -> Indices:
    return read_only(np.array(list(chain.from_iterable(samples)), dtype=np.int64))


def _labels_of(samples: list[list[int]]) -> Indices:
    return read_only(np.repeat(np.arange(len(samples)), [len(group) for group in samples]))
