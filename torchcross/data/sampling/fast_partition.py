"""Plans of exclusive classes where every episode has one shape and nothing can fail."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.randomness import Stream, below_array, distinct, distinct_rows
from torchcross.data.sampling.class_index import ClassIndex
from torchcross.data.sampling.feasibility import Eligible
from torchcross.data.sampling.request import Request
from torchcross.plan import EpisodePlan

_AHEAD = 64


def _choose_items(words: list[int], items: tuple[int, ...]) -> tuple[int, ...]:
    """One item per word, all different, ascending: `distinct` with the swaps done in place."""
    cards = list(items)
    for step, word in enumerate(words):
        pick = step + ((word * (len(cards) - step)) >> 64)
        cards[step], cards[pick] = cards[pick], cards[step]
    return tuple(sorted(cards[: len(words)]))


@lru_cache(maxsize=1024)
def block_labels(classes: int, each: int) -> Indices:
    """0, .., 0, 1, .., 1, ...: `each` labels per class, shared by every plan of this shape."""
    return read_only(np.repeat(np.arange(classes), each))


class FastPartitionDrawer:
    """Balanced queries, one number of shots per episode, no subjects: a few array operations each.

    The words of episode i are a window of one row of words, so a range of episodes is a range of
    words. A window holds the word for the ways, the word for the shots, one word per chosen class,
    and one per sample; queries come first in each class's shuffle, so that fewer shots change
    nothing else.
    """

    def __init__(
        self, request: Request, name: str, stream: Stream, index: ClassIndex, eligible: Eligible
    ) -> None:
        self.name, self.stream, self.eligible = name, stream, eligible
        self.queries = request.queries
        self.shot_range = request.shot_range
        self._order, self._starts, self._counts = index.order, index.starts, index.counts
        self._classes = np.array(eligible.classes, dtype=np.int64)
        self._most = eligible.ways[1]
        self._per_class = self.queries + self.shot_range[1]
        steps = np.arange(self._per_class)
        self._spans = (self._counts[:, None] - steps).clip(min=0).astype(np.uint64)
        self._firsts = self._starts[:, None] + steps
        self._ahead: tuple[int, list[EpisodePlan]] = (0, [])
        self._expected = -1
        self._blocks = -(-(2 + self._most + self._most * self._per_class) // 4)

    def plan(self, number: int) -> EpisodePlan:
        """One episode. Calls in order get the same plans from a block drawn ahead, sooner."""
        start, plans = self._ahead
        if start <= number < start + len(plans):
            self._expected = number + 1
            return plans[number - start]
        in_order = number == self._expected
        self._expected = number + 1
        if not in_order:
            return self._one(number)
        plans = self.plans(range(number, number + _AHEAD))
        self._ahead = number, plans
        return plans[0]

    def __getstate__(self) -> dict[str, Any]:
        """Everything but what was drawn ahead."""
        return self.__dict__ | {"_ahead": (0, []), "_expected": -1}

    def _one(self, number: int) -> EpisodePlan:
        words = self.stream.window(number * self._blocks, 4 * self._blocks)
        (fewest, most), (low, high) = self.eligible.ways, self.shot_range
        ways = most if fewest == most else fewest + ((int(words[0]) * (most - fewest + 1)) >> 64)
        shots = high if low == high else low + ((int(words[1]) * (high - low + 1)) >> 64)
        classes = self.eligible.classes
        if ways < len(classes):
            classes = _choose_items(words[2 : 2 + ways].tolist(), classes)
        first = 2 + self._most
        rows = words[first : first + ways * self._per_class].reshape(ways, self._per_class)
        samples = self._samples(rows, classes)[:, : self.queries + shots]
        return self._assemble(number, classes, shots, samples)

    def _samples(self, words: NDArray[np.uint64], classes: tuple[int, ...]) -> Indices:
        """The first samples of each class's shuffle."""
        rows = np.array(classes)
        places = below_array(words, self._spans.take(rows, axis=0))
        places += self._firsts.take(rows, axis=0)
        # Classes share no sample, so one look at all places finds every repeat.
        if len(set(places.ravel().tolist())) < places.size:
            counts = self._counts[rows].tolist()
            picks = [
                distinct(row, count) for row, count in zip(words.tolist(), counts, strict=True)
            ]
            places = np.array(picks) + self._starts[rows, None]
        samples: Indices = self._order[places].astype(np.int64)
        return samples

    def _assemble(
        self, number: int, classes: tuple[int, ...], shots: int, samples: NDArray[np.int64]
    ) -> EpisodePlan:
        ways, queries = len(classes), self.queries
        support = read_only(samples[:, queries:].reshape(-1))
        query = read_only(samples[:, :queries].reshape(-1))
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
        words = self.stream.window(numbers.start * self._blocks, 4 * self._blocks * count).reshape(
            count, -1
        )
        ways, shots = self._shapes(words)
        classes = self._choose(words[:, 2:first], ways)
        rows = words[:, first : first + self._most * self._per_class].reshape(
            count * self._most, self._per_class
        )
        samples = self._draw(rows, classes.reshape(-1)).reshape(count, self._most, self._per_class)
        return self._split(numbers.start, classes, ways, shots, samples)

    def _shapes(self, words: NDArray[np.uint64]) -> tuple[list[int], list[int]]:
        """The ways and the shots of every episode."""
        (fewest, most), (low, high) = self.eligible.ways, self.shot_range
        spans = np.array([[most - fewest + 1, high - low + 1]], dtype=np.uint64)
        shapes = below_array(words[:, :2], spans) + np.array([fewest, low])
        return shapes[:, 0].tolist(), shapes[:, 1].tolist()

    def _choose(self, words: NDArray[np.uint64], ways: list[int]) -> NDArray[np.int64]:
        """(episodes, most ways) ascending classes; any class beyond an episode's ways."""
        if len(self._classes) == self.eligible.ways[0]:
            return np.tile(self._classes, (len(words), 1))
        picks = distinct_rows(words, np.full(len(words), len(self._classes)))
        spare = np.arange(self._most) >= np.array(ways)[:, None]
        ranked = np.sort(np.where(spare, len(self._classes), picks), axis=1)
        classes: Indices = self._classes[np.minimum(ranked, len(self._classes) - 1)]
        return classes

    def _draw(self, words: NDArray[np.uint64], classes: Indices) -> Indices:
        places = distinct_rows(words, self._counts[classes])
        samples: Indices = self._order[places + self._starts[classes][:, None]].astype(np.int64)
        return samples

    def _split(
        self,
        start: int,
        classes: NDArray[np.int64],
        ways: list[int],
        shots: list[int],
        samples: NDArray[np.int64],
    ) -> list[EpisodePlan]:
        class_lists = classes.tolist()
        queries = self.queries
        if self.eligible.ways[0] == self._most and self.shot_range[0] == self.shot_range[1]:
            count = len(samples)
            query = read_only(np.ascontiguousarray(samples[:, :, :queries]).reshape(count, -1))
            support = read_only(np.ascontiguousarray(samples[:, :, queries:]).reshape(count, -1))
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
