"""Draws over exclusive classes as they come: a natural query, a natural support, or both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.randomness import Words
from torchcross.data.sampling.class_index import ClassIndex
from torchcross.data.sampling.request import Request
from torchcross.data.sampling.shuffle import Deck, Used, any_order
from torchcross.data.sampling.subject_division import choose_support_subjects
from torchcross.data.sampling.subject_ledger import SubjectLedger, Subjects
from torchcross.plan import EpisodePlan

PATIENCE = 16
"""Samples looked at for each one wanted, before the subjects are asked instead."""
# Attempts at an episode that draw the support first, without a look at the query.
_SUPPORTS_FIRST = 50
# Samples of each class, for the support and for the query.
SidesByClass = tuple[list[list[int]], list[list[int]]]


@dataclass(frozen=True, eq=False)
class AsTheyCome:
    """Draws from all samples of some classes together, with subjects or without."""

    request: Request
    index: ClassIndex
    groups: Indices | None
    ledger: SubjectLedger | None

    def with_natural_query(
        self, words: Words, attempt: int, used: Used, classes: Sequence[int], shots: Sequence[int]
    ) -> SidesByClass | None:
        """K of every class for the support; the query from the rest of these classes together."""
        count = self.request.queries * len(classes)
        if self.ledger is not None and attempt:
            return _draw_apart(words, self.ledger, used, classes, shots, count)
        support = []
        for c, need in zip(classes, shots, strict=True):
            deck = Deck(words, used, self.index.members(c))
            drawn = [sample for _ in range(need) if (sample := deck.draw()) is not None]
            if len(drawn) < need:
                return None
            support.append(drawn)
        query = self._draw_rest(words, used, classes, set(chain.from_iterable(support)), count)
        return None if query is None else (support, query)

    def with_natural_support(
        self, words: Words, attempt: int, used: Used, classes: Sequence[int], size: int
    ) -> SidesByClass | None:
        """A support of `size` samples of these classes together, then the query from the rest.

        The support is drawn first, without a look at the query: it has the prevalence of the
        source, as far as an episode is possible. Where that failed often, the query goes first.
        """
        if self.ledger is not None and attempt:
            return self._natural_support_apart(self.ledger, words, used, classes, size)
        whole, of_query = [(classes, size)], self._parts_of_query(classes)
        query_first = attempt >= _SUPPORTS_FIRST
        first, second = (of_query, whole) if query_first else (whole, of_query)
        drawn = self._draw_parts(words, used, first, set())
        if drawn is None:
            return None
        rest = self._draw_parts(words, used, second, set(chain.from_iterable(drawn)))
        if rest is None:
            return None
        return (rest, drawn) if query_first else (drawn, rest)

    def _draw_parts(
        self,
        words: Words,
        used: Used,
        parts: Sequence[tuple[Sequence[int], int]],
        others: set[int],
    ) -> list[list[int]] | None:
        """So many samples of each part's classes together, without the other side."""
        samples: list[list[int]] = []
        for classes, count in parts:
            drawn = self._draw_rest(words, used, classes, others, count)
            if drawn is None:
                return None
            samples += drawn
        return samples

    def _parts_of_query(self, classes: Sequence[int]) -> list[tuple[Sequence[int], int]]:
        """Which classes are drawn from together, and how many samples of them."""
        if self.request.query == "natural":
            return [(classes, self.request.queries * len(classes))]
        return [([c], self.request.queries) for c in classes]

    def _natural_support_apart(
        self,
        ledger: SubjectLedger,
        words: Words,
        used: Used,
        classes: Sequence[int],
        size: int,
    ) -> SidesByClass | None:
        """The same where few subjects are set apart for the support first."""
        owned = ledger.count_samples(classes, used).sum(axis=1, keepdims=True)
        in_support = choose_support_subjects(words, owned, size)
        if in_support is None:
            return None
        support = _draw_of_subjects(words, ledger, used, classes, in_support, size)
        if support is None:
            return None
        query: list[list[int]] = []
        for part, count in self._parts_of_query(classes):
            drawn = _draw_of_subjects(words, ledger, used, part, ~in_support, count)
            if drawn is None:
                return None
            query += drawn
        return support, query

    def _draw_rest(
        self, words: Words, used: Used, classes: Sequence[int], support: set[int], count: int
    ) -> list[list[int]] | None:
        """A side without the other one (`support`, mostly) and its subjects.

        A few samples are looked at; where too many of them cannot be used, the subjects are asked.
        """
        groups = self.groups
        subjects = set() if groups is None else {int(groups[sample]) for sample in support}
        if self.ledger is not None and len(subjects) == self.ledger.count:
            return None
        deck = Deck(words, used, *(self.index.members(c) for c in classes))
        patience = deck.size if groups is None else PATIENCE * count
        query: list[list[int]] = [[] for _ in classes]
        missing = count
        while missing and patience > 0:
            patience -= 1
            card = deck.draw_with_list()
            if card is None:
                return None
            sample, position = card
            if sample not in support and (groups is None or int(groups[sample]) not in subjects):
                query[position].append(sample)
                missing -= 1
        if not missing:
            return query
        if self.ledger is None:
            return None
        others = np.ones(self.ledger.count, dtype=bool)
        others[list(subjects)] = False
        return _draw_of_subjects(words, self.ledger, used, classes, others, count)


def _draw_apart(
    words: Words,
    ledger: SubjectLedger,
    used: Used,
    classes: Sequence[int],
    shots: Sequence[int],
    count: int,
) -> SidesByClass | None:
    """Support and query where few subjects are set apart for the support first."""
    owned = ledger.count_samples(classes, used)
    in_support = choose_support_subjects(words, owned, max(shots))
    if in_support is None:
        return None
    support = []
    for c, need in zip(classes, shots, strict=True):
        drawn = _draw_of_subjects(words, ledger, used, [c], in_support, need)
        if drawn is None:
            return None
        support += drawn
    query = _draw_of_subjects(words, ledger, used, classes, ~in_support, count)
    return None if query is None else (support, query)


def _draw_of_subjects(
    words: Words,
    ledger: SubjectLedger,
    used: Used,
    classes: Sequence[int],
    subjects: Subjects,
    count: int,
) -> list[list[int]] | None:
    """Samples of these classes together that these subjects own, by class; None if too few."""
    drawn = ledger.pool(classes, subjects, used).draw(words, count)
    if drawn is None:
        return None
    samples, list_of = drawn
    return [samples[list_of == place].tolist() for place in range(len(classes))]


def fewer_natural_shots(plan: EpisodePlan, shots: int, words: Words) -> EpisodePlan:
    """The same episode with `shots` x ways samples of its natural support, of any label."""
    keep = sorted(any_order(words, len(plan.support))[: shots * plan.ways])
    return replace(
        plan,
        shots=shots,
        support=read_only(plan.support[keep]),
        support_labels=read_only(plan.support_labels[keep]),
    )
