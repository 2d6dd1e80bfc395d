"""Which subject owns which samples, laid out once.

A plan then asks the subjects, of which there are few, and not the samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices
from torchcross._kit.randomness import Words, distinct
from torchcross.data.sampling.class_index import ClassIndex, narrow
from torchcross.data.sampling.shuffle import Used

Subjects = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SubjectRuns:
    """The samples of a stratum, one run for each subject.

    `subjects[i]` owns `samples[starts[i] : starts[i] + counts[i]]`.
    """

    samples: NDArray[Any]
    subjects: Indices
    starts: Indices
    counts: Indices


class SubjectLedger:
    """The samples of all strata of a source, by subject."""

    def __init__(self, index: ClassIndex, groups: Indices) -> None:
        self.groups = groups
        self.count = int(groups.max()) + 1
        # To sort places in one order by subject is several times as fast as to sort every stratum.
        self._by_subject = narrow(np.argsort(groups, kind="stable"), len(groups))
        self._place = np.empty_like(self._by_subject)
        self._place[self._by_subject] = np.arange(len(groups))
        self._members = index.members
        self._runs = [self._runs_of(index.members(place)) for place in range(len(index.counts))]

    def _runs_of(self, members: NDArray[Any]) -> SubjectRuns:
        samples = self._by_subject[np.sort(self._place[members])]
        subjects = self.groups[samples]
        starts = np.flatnonzero(np.diff(subjects, prepend=-1))
        counts = np.diff(starts, append=len(samples))
        return SubjectRuns(samples, subjects[starts], starts, counts)

    def runs(self, stratum: int, used: Used = None) -> SubjectRuns:
        """The samples of a stratum that are not used up."""
        if used is None:
            return self._runs[stratum]
        members = self._members(stratum)
        return self._runs_of(members[~used[members]])

    def count_samples(self, strata: Sequence[int], used: Used = None) -> Indices:
        """(subjects, strata): how many samples each subject owns of each stratum."""
        counts = np.zeros((self.count, len(strata)), dtype=np.int64)
        for column, stratum in enumerate(strata):
            runs = self.runs(stratum, used)
            counts[runs.subjects, column] = runs.counts
        return counts

    def pool(self, strata: Sequence[int], allowed: Subjects, used: Used = None) -> SamplePool:
        """The samples of these strata that allowed subjects own, and that are not used up."""
        return SamplePool.of_subjects([self.runs(stratum, used) for stratum in strata], allowed)


class SamplePool:
    """Samples of several lists to draw from. The lists are numbered through, not copied."""

    def __init__(
        self, lists: Sequence[NDArray[Any]], list_of: Indices, firsts: Indices, counts: Indices
    ) -> None:
        """Block b is `counts[b]` samples of `lists[list_of[b]]`, from place `firsts[b]` on."""
        self._lists, self._list_of = lists, list_of
        self._ends = counts.cumsum()
        self._shifts = firsts - (self._ends - counts)
        self.size = int(counts.sum())

    @classmethod
    def of_lists(cls, lists: Sequence[NDArray[Any]]) -> SamplePool:
        """All samples of these lists."""
        counts = np.array([len(samples) for samples in lists], dtype=np.int64)
        return cls(lists, np.arange(len(lists)), np.zeros_like(counts), counts)

    @classmethod
    def of_subjects(cls, strata: Sequence[SubjectRuns], allowed: Subjects) -> SamplePool:
        """The samples of these strata that allowed subjects own."""
        chosen = [np.flatnonzero(allowed[runs.subjects]) for runs in strata]
        pairs = list(zip(strata, chosen, strict=True))
        return cls(
            [runs.samples for runs in strata],
            np.repeat(np.arange(len(strata)), [len(places) for places in chosen]),
            np.concatenate([runs.starts[places] for runs, places in pairs]),
            np.concatenate([runs.counts[places] for runs, places in pairs]),
        )

    def draw(self, words: Words, count: int) -> tuple[Indices, Indices] | None:
        """`count` samples at different places, and which list each is from; None if too few."""
        if self.size < count:
            return None
        places = np.array(distinct(words.bulk(count).tolist(), self.size), dtype=np.int64)
        block = np.searchsorted(self._ends, places, side="right")
        list_of, inside = self._list_of[block], places + self._shifts[block]
        samples = np.empty(count, dtype=np.int64)
        for number in np.unique(list_of).tolist():
            here = list_of == number
            samples[here] = self._lists[number][inside[here]]
        return samples, list_of
