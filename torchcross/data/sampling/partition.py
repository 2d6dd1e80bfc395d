"""Plans over exclusive classes: exactly k of each class, fast where every episode has the same
shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.randomness import Stream, Words
from torchcross.data.sampling import meta_dataset
from torchcross.data.sampling.class_index import ClassIndex, partition_supply
from torchcross.data.sampling.fast_partition import FastPartitionDrawer
from torchcross.data.sampling.feasibility import Eligible, eligible_classes
from torchcross.data.sampling.request import MetaDatasetShots, Request
from torchcross.data.sampling.shuffle import Deck, Used, any_order, choose
from torchcross.data.sampling.subject_division import divide, split
from torchcross.data.sampling.subject_ledger import Ledger, Owners, Pile
from torchcross.data.sources.source import TaskSource
from torchcross.plan import EpisodePlan
from torchcross.targets.strata import Partition

__all__ = ["PartitionDrawer"]

Classes = tuple[int, ...] | None
# Cards looked at per sample wanted, before subjects are asked instead of samples.
_PATIENCE = 16
# Which subjects stand in the query (True) and which in the support.
Sides = dict[int, bool]


class PartitionDrawer:
    """Any request, one episode at a time. Without a free choice that fails (subjects), the first
    attempt succeeds.
    """

    exclusive = True

    def __init__(
        self, request: Request, source: TaskSource, strata: Partition, stream: Stream
    ) -> None:
        self.request = request
        self.name = source.name
        self.stream = stream
        self.groups = source.groups if request.groups == "respect" else None
        self.index = ClassIndex.of_partition(strata)
        self.owners = None if self.groups is None else Owners(self.index, self.groups)
        self.eligible: Eligible = eligible_classes(
            request, partition_supply(self.index, self.groups), source.task.target, source.name
        )

    def fast(self) -> FastPartitionDrawer | None:
        """The fast way, where every episode has one shape and nothing can fail."""
        one_shape = self.request.query == "balanced" and not isinstance(
            self.request.shots, MetaDatasetShots
        )
        if not one_shape or self.groups is not None:
            return None
        return FastPartitionDrawer(self.request, self.name, self.stream, self.index, self.eligible)

    def attempt(
        self, number: int, attempt: int, used: Used = None, classes: Classes = None
    ) -> EpisodePlan | None:
        """Episode `number` without the `used` samples, or None where this attempt's choices lead
        nowhere.
        """
        words = self.stream.words(number, attempt)
        if classes is None:
            low, high = self.eligible.ways
            classes = choose(words, self.eligible.classes, low + words.below(high - low + 1))
        shots, queries = self._sizes(words, classes, used)
        if queries == 0:
            return None
        if self.request.query == "natural":
            picked = self._natural(words, attempt, used, classes, shots)
        else:
            picked = self._balanced(words, used, classes, shots, queries)
        return None if picked is None else self._plan(number, classes, shots, *picked)

    def _sizes(self, words: Words, classes: Sequence[int], used: Used) -> tuple[list[int], int]:
        """Shots of every class, and queries per class."""
        if isinstance(self.request.shots, MetaDatasetShots):
            counts = [self.index.unused(c, used) for c in classes]
            return meta_dataset.sizes(words, counts, self.request.shots, self.request.queries)
        low, high = self.request.shot_range
        return [low + words.below(high - low + 1)] * len(classes), self.request.queries

    def fewer_shots(self, plan: EpisodePlan, shots: int, words: Words) -> EpisodePlan:
        """The same episode with the first `shots` samples of every class."""
        keep = (np.arange(len(plan.support)) % (len(plan.support) // plan.ways)) < shots
        return replace(
            plan,
            shots=shots,
            support=read_only(plan.support[keep]),
            support_labels=read_only(plan.support_labels[keep]),
        )

    def _balanced(
        self, words: Words, used: Used, classes: Sequence[int], shots: Sequence[int], queries: int
    ) -> tuple[list[list[int]], list[list[int]]] | None:
        """Classes in random order; where chance leaves a class no way, its subjects are divided by
        calculation.
        """
        support: list[list[int]] = [[] for _ in classes]
        query: list[list[int]] = [[] for _ in classes]
        sides: Sides = {}
        for position in any_order(words, len(classes)):
            members, need = self.index.members(classes[position]), shots[position]
            chance = dict(sides)
            drawn = self._both_sides(words, used, members, need, queries, chance)
            if drawn is None and self.owners is not None:
                ledger = self.owners.ledger(classes[position], used)
                chance = _divided(words, ledger, need, queries, sides)
                drawn = (
                    _from_piles(words, ledger, self.owners.count, need, queries, chance)
                    if chance
                    else None
                )
            if drawn is None:
                return None
            support[position], query[position] = drawn
            sides = chance
        return support, query

    def _both_sides(
        self, words: Words, used: Used, members: NDArray[Any], need: int, queries: int, sides: Sides
    ) -> tuple[list[int], list[int]] | None:
        """Samples go to the side that lacks most; a subject stays on the side it first went to.
        None where the cards run out, or where subjects settled elsewhere make the wait too long.
        """
        deck, mine, theirs = Deck(words, used, members), list[int](), list[int]()
        patience = deck.size if self.groups is None else _PATIENCE * (need + queries)
        while len(mine) < need or len(theirs) < queries:
            patience -= 1
            sample = deck.draw() if patience >= 0 else None
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

    def _natural(
        self, words: Words, attempt: int, used: Used, classes: Sequence[int], shots: Sequence[int]
    ) -> tuple[list[list[int]], list[list[int]]] | None:
        """The support has k of every class; the query is drawn from all that is left of these
        classes together.
        """
        wanted = self.request.queries * len(classes)
        if self.owners is not None and attempt:
            return _apart(words, self.owners, used, classes, shots, wanted)
        support = []
        for c, need in zip(classes, shots, strict=True):
            deck = Deck(words, used, self.index.members(c))
            drawn = [sample for _ in range(need) if (sample := deck.draw()) is not None]
            if len(drawn) < need:
                return None
            support.append(drawn)
        query = self._left_over(
            words, used, classes, [sample for samples in support for sample in samples], wanted
        )
        return None if query is None else (support, query)

    def _left_over(
        self, words: Words, used: Used, classes: Sequence[int], support: Sequence[int], wanted: int
    ) -> list[list[int]] | None:
        """A query of what the support (with its subjects) leaves of these classes: a few cards are
        looked at, and where too many are of no use, the subjects are.
        """
        taken, groups = set(support), self.groups
        subjects = set() if groups is None else {int(groups[sample]) for sample in taken}
        if self.owners is not None and len(subjects) == self.owners.count:
            return None
        deck = Deck(words, used, *(self.index.members(c) for c in classes))
        patience = deck.size if groups is None else _PATIENCE * wanted
        query: list[list[int]] = [[] for _ in classes]
        found = 0
        while found < wanted and patience > 0:
            patience -= 1
            card = deck.draw_with_list()
            if card is None:
                return None
            sample, position = card
            if sample not in taken and (groups is None or int(groups[sample]) not in subjects):
                query[position].append(sample)
                found += 1
        if found == wanted:
            return query
        return (
            None
            if self.owners is None
            else _of_others(words, self.owners, used, classes, subjects, wanted)
        )

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
    """Whether the query lacks the larger share of what it needs; a coin where both lack the
    same.
    """
    query_lack, support_lack = (queries - in_query) * need, (need - in_support) * queries
    return query_lack > support_lack if query_lack != support_lack else words.below(2) == 1


def _divided(words: Words, ledger: Ledger, need: int, queries: int, sides: Sides) -> Sides:
    """Sides for all subjects that own samples of a class, beside those that are settled; empty
    where there are none.
    """
    sizes = dict(zip(ledger.subjects.tolist(), ledger.counts.tolist(), strict=True))
    need -= sum(size for subject, size in sizes.items() if sides.get(subject) is False)
    queries -= sum(size for subject, size in sizes.items() if sides.get(subject) is True)
    unsettled = [subject for subject in sizes if subject not in sides]
    order = [unsettled[place] for place in any_order(words, len(unsettled))]
    division = divide([sizes[subject] for subject in order], need, queries)
    if division is None:
        return {}
    return sides | {
        subject: not in_support for subject, in_support in zip(order, division, strict=True)
    }


def _from_piles(
    words: Words, ledger: Ledger, subjects: int, need: int, queries: int, sides: Sides
) -> tuple[list[int], list[int]] | None:
    """Samples of a class all of whose subjects have a side."""
    in_query = np.zeros(subjects, dtype=bool)
    in_query[[subject for subject, stands_there in sides.items() if stands_there]] = True
    support = Pile.owned([ledger], ~in_query).draw(words, need)
    query = Pile.owned([ledger], in_query).draw(words, queries)
    return None if support is None or query is None else (support[0].tolist(), query[0].tolist())


def _apart(
    words: Words,
    owners: Owners,
    used: Used,
    classes: Sequence[int],
    shots: Sequence[int],
    wanted: int,
) -> tuple[list[list[int]], list[list[int]]] | None:
    """Support and query where few subjects are set apart for the support first."""
    in_support = split(words, owners.owned(classes, used), max(shots))
    if in_support is None:
        return None
    support = []
    for c, need in zip(classes, shots, strict=True):
        drawn = owners.pile([c], in_support, used).draw(words, need)
        if drawn is None:
            return None
        support.append(drawn[0].tolist())
    query = owners.pile(classes, ~in_support, used).draw(words, wanted)
    return None if query is None else (support, _by_list(*query, len(classes)))


def _of_others(
    words: Words,
    owners: Owners,
    used: Used,
    classes: Sequence[int],
    subjects: set[int],
    wanted: int,
) -> list[list[int]] | None:
    """Samples of these classes that none of these subjects own."""
    others = np.ones(owners.count, dtype=bool)
    others[list(subjects)] = False
    drawn = owners.pile(classes, others, used).draw(words, wanted)
    return None if drawn is None else _by_list(*drawn, len(classes))


def _by_list(samples: Indices, which: Indices, lists: int) -> list[list[int]]:
    return [samples[which == number].tolist() for number in range(lists)]


def _joined(samples: list[list[int]]) -> Indices:
    return read_only(np.array([sample for group in samples for sample in group], dtype=np.int64))


def _labels_of(samples: list[list[int]]) -> Indices:
    return read_only(np.repeat(np.arange(len(samples)), [len(group) for group in samples]))
