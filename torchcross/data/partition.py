"""Plans over exclusive classes: exactly k of each class, fast where every episode has the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from torchcross._arrays import Indices, frozen
from torchcross.data import metadataset
from torchcross.data._shuffle import Deck, Used, any_order, choose
from torchcross.data.feasibility import Eligible, eligible_classes
from torchcross.data.index import ClassIndex, partition_supply
from torchcross.data.request import MetaDatasetShots, Request
from torchcross.data.source import TaskSource
from torchcross.data.words import Stream, Words, below_array, distinct, distinct_rows
from torchcross.plan import EpisodePlan
from torchcross.targets.strata import Partition

__all__ = ["FastPartitionDrawer", "PartitionDrawer"]

Classes = tuple[int, ...] | None


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
        return FastPartitionDrawer(self) if one_shape and self.groups is None else None

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
            picked = self._natural(words, used, classes, shots)
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
        """Samples of every class go to the side that lacks most; a subject stays on the side it first went to."""
        support: list[list[int]] = [[] for _ in classes]
        query: list[list[int]] = [[] for _ in classes]
        side_of_subject: dict[int, bool] = {}
        for position in any_order(words, len(classes)):
            deck = Deck(words, used, self.index.members(classes[position]))
            mine, theirs = support[position], query[position]
            need = shots[position]
            while len(mine) < need or len(theirs) < queries:
                sample = deck.draw()
                if sample is None:
                    return None
                to_query = len(theirs) < queries
                if self.groups is not None:
                    subject = int(self.groups[sample])
                    if subject not in side_of_subject:
                        side_of_subject[subject] = _prefers_query(words, len(mine), need, len(theirs), queries)
                    to_query = side_of_subject[subject]
                if to_query and len(theirs) < queries:
                    theirs.append(sample)
                elif not to_query and len(mine) < need:
                    mine.append(sample)
        return support, query

    def _natural(
        self, words: Words, used: Used, classes: Sequence[int], shots: Sequence[int]
    ) -> tuple[list[list[int]], list[list[int]]] | None:
        """The support has k of every class; the query is drawn from all that is left of these classes together."""
        support = []
        for c, need in zip(classes, shots, strict=True):
            deck = Deck(words, used, self.index.members(c))
            drawn = [sample for _ in range(need) if (sample := deck.draw()) is not None]
            if len(drawn) < need:
                return None
            support.append(drawn)
        taken = {sample for samples in support for sample in samples}
        subjects = set() if self.groups is None else {int(self.groups[sample]) for sample in taken}
        deck = Deck(words, used, *(self.index.members(c) for c in classes))
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


@lru_cache(maxsize=1024)
def block_labels(classes: int, each: int) -> Indices:
    """0, .., 0, 1, .., 1, ...: `each` labels per class, read-only and shared by every plan of this shape."""
    return frozen(np.repeat(np.arange(classes), each))


def _prefers_query(words: Words, in_support: int, need: int, in_query: int, queries: int) -> bool:
    """Whether the query lacks the larger share of what it needs; a coin where both lack the same."""
    query_lack, support_lack = (queries - in_query) * need, (need - in_support) * queries
    return query_lack > support_lack if query_lack != support_lack else words.below(2) == 1


def _joined(samples: list[list[int]]) -> Indices:
    return frozen(np.array([sample for group in samples for sample in group], dtype=np.int64))


def _labels_of(samples: list[list[int]]) -> Indices:
    return frozen(np.repeat(np.arange(len(samples)), [len(group) for group in samples]))


class FastPartitionDrawer:
    """Balanced queries, one number of shots per episode, no subjects: every plan is the same few array operations.

    The words of episode i are a window of one row of words, so a range of episodes is a range of words. A window holds
    the word for the ways, the word for the shots, one word per chosen class, and one per sample; queries come first in
    each class's shuffle, so that fewer shots change nothing else.
    """

    def __init__(self, slow: PartitionDrawer) -> None:
        request = slow.request
        self.name, self.stream = slow.name, slow.stream
        self.eligible = slow.eligible
        self.queries = request.queries
        self.shot_range = request.shot_range
        self._order, self._starts, self._counts = slow.index.order, slow.index.starts, slow.index.counts
        self._start_list, self._count_list = self._starts.tolist(), self._counts.tolist()
        self._classes = np.array(self.eligible.classes, dtype=np.int64)
        self._most = self.eligible.ways[1]
        self._per_class = self.queries + self.shot_range[1]
        words = 2 + self._most + self._most * self._per_class
        self._blocks = -(-words // 4)

    def plan(self, number: int) -> EpisodePlan:
        ways, shots, words = self._shape(self.stream.window(number * self._blocks, 4 * self._blocks))
        return self._single(number, ways, shots, words)

    def _shape(self, words: NDArray[np.uint64]) -> tuple[int, int, NDArray[np.uint64]]:
        (fewest, most), (low, high) = self.eligible.ways, self.shot_range
        ways = most if fewest == most else fewest + ((int(words[0]) * (most - fewest + 1)) >> 64)
        shots = high if low == high else low + ((int(words[1]) * (high - low + 1)) >> 64)
        return ways, shots, words

    def _single(self, number: int, ways: int, shots: int, words: NDArray[np.uint64]) -> EpisodePlan:
        classes = self.eligible.classes
        if ways < len(classes):
            picks = distinct(words[2 : 2 + ways].tolist(), len(classes))
            classes = tuple(sorted([classes[pick] for pick in picks]))
        each = self.queries + shots
        first = 2 + self._most
        rows = words[first : first + ways * self._per_class].reshape(ways, self._per_class)[:, :each].tolist()
        places: list[list[int]] = []
        for c, row in zip(classes, rows, strict=True):
            start = self._start_list[c]
            places.append([start + place for place in distinct(row, self._count_list[c])])
        samples = self._order[np.array(places)].astype(np.int64)
        return self._assemble(number, classes, shots, samples)

    def _assemble(self, number: int, classes: tuple[int, ...], shots: int, samples: NDArray[np.int64]) -> EpisodePlan:
        ways, queries = len(classes), self.queries
        support = frozen(samples[:, queries:].reshape(-1))
        query = frozen(samples[:, :queries].reshape(-1))
        return EpisodePlan(
            number,
            self.name,
            classes,
            shots,
            support,
            block_labels(ways, shots),
            query,
            block_labels(ways, queries),
        )

    def plans(self, numbers: range) -> list[EpisodePlan]:
        """Consecutive episodes, drawn together: the same plans as one by one."""
        count, first = len(numbers), 2 + self._most
        words = self.stream.window(numbers.start * self._blocks, 4 * self._blocks * count).reshape(count, -1)
        ways, shots = self._shapes(words)
        chosen = self._choose(words[:, 2:first], ways)
        rows = words[:, first : first + self._most * self._per_class].reshape(count * self._most, self._per_class)
        samples = self._draw(rows, chosen.reshape(-1)).reshape(count, self._most, self._per_class)
        return self._split(numbers.start, chosen, ways, shots, samples)

    def _shapes(self, words: NDArray[np.uint64]) -> tuple[list[int], list[int]]:
        (fewest, most), (low, high) = self.eligible.ways, self.shot_range
        spans = np.array([[most - fewest + 1, high - low + 1]], dtype=np.uint64)
        found = below_array(words[:, :2], spans) + np.array([fewest, low])
        return found[:, 0].tolist(), found[:, 1].tolist()

    def _choose(self, words: NDArray[np.uint64], ways: list[int]) -> NDArray[np.int64]:
        """(episodes, most ways) ascending classes; places beyond an episode's ways hold any class."""
        if len(self._classes) == self.eligible.ways[0]:
            return np.tile(self._classes, (len(words), 1))
        picks = distinct_rows(words, np.full(len(words), len(self._classes)))
        spare = np.arange(self._most) >= np.array(ways)[:, None]
        ranked = np.sort(np.where(spare, len(self._classes), picks), axis=1)
        chosen: Indices = self._classes[np.minimum(ranked, len(self._classes) - 1)]
        return chosen

    def _draw(self, words: NDArray[np.uint64], classes: Indices) -> Indices:
        places = distinct_rows(words, self._counts[classes])
        samples: Indices = self._order[places + self._starts[classes][:, None]].astype(np.int64)
        return samples

    def _split(
        self,
        start: int,
        chosen: NDArray[np.int64],
        ways: list[int],
        shots: list[int],
        samples: NDArray[np.int64],
    ) -> list[EpisodePlan]:
        class_lists = chosen.tolist()
        queries = self.queries
        if self.eligible.ways[0] == self._most and self.shot_range[0] == self.shot_range[1]:
            count = len(samples)
            query = frozen(np.ascontiguousarray(samples[:, :, :queries]).reshape(count, -1))
            support = frozen(np.ascontiguousarray(samples[:, :, queries:]).reshape(count, -1))
            k, q = block_labels(self._most, shots[0]), block_labels(self._most, queries)
            return [
                EpisodePlan(start + i, self.name, tuple(class_lists[i]), shots[0], s, k, r, q)
                for i, (s, r) in enumerate(zip(support, query, strict=True))
            ]
        return [
            self._assemble(
                start + i,
                tuple(class_lists[i][: ways[i]]),
                shots[i],
                samples[i, : ways[i], : queries + shots[i]],
            )
            for i in range(len(samples))
        ]
