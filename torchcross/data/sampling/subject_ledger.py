"""Which subject owns which samples, laid out once: a plan then asks subjects, of which there are
few, not samples.
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

__all__ = ["Ledger", "Owners", "Pile"]

Subjects = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Ledger:
    """The samples of a stratum by subject: `subjects[i]` owns
    `samples[starts[i] : starts[i] + counts[i]]`.
    """

    samples: NDArray[Any]
    subjects: Indices
    starts: Indices
    counts: Indices


class Owners:
    """The ledgers of all strata of a source."""

    def __init__(self, index: ClassIndex, groups: Indices) -> None:
        self.groups = groups
        self.count = int(groups.max()) + 1
        # Sorting places in one order by subject is several times as fast as sorting every stratum
        # by subject.
        self._by_subject = narrow(np.argsort(groups, kind="stable"), len(groups))
        self._place = np.empty_like(self._by_subject)
        self._place[self._by_subject] = np.arange(len(groups))
        self._members = index.members
        self._ledgers = [
            self._ledger(index.members(stratum)) for stratum in range(len(index.counts))
        ]

    def _ledger(self, members: NDArray[Any]) -> Ledger:
        samples = self._by_subject[np.sort(self._place[members])]
        owners = self.groups[samples]
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        return Ledger(samples, owners[starts], starts, np.diff(starts, append=len(samples)))

    def ledger(self, stratum: int, used: Used = None) -> Ledger:
        """The ledger of what is not used up."""
        if used is None:
            return self._ledgers[stratum]
        members = self._members(stratum)
        return self._ledger(members[~used[members]])

    def owned(self, strata: Sequence[int], used: Used = None) -> Indices:
        """(subjects, strata): how many samples each subject owns of each stratum."""
        found = np.zeros((self.count, len(strata)), dtype=np.int64)
        for column, stratum in enumerate(strata):
            ledger = self.ledger(stratum, used)
            found[ledger.subjects, column] = ledger.counts
        return found

    def pile(self, strata: Sequence[int], allowed: Subjects, used: Used = None) -> Pile:
        """The samples of these strata that allowed subjects own, and that are not used up."""
        return Pile.owned([self.ledger(stratum, used) for stratum in strata], allowed)


class Pile:
    """Samples of several lists, numbered through without being listed."""

    def __init__(
        self, parts: Sequence[NDArray[Any]], which: Indices, firsts: Indices, counts: Indices
    ) -> None:
        """Block b is `counts[b]` samples of `parts[which[b]]`, from place `firsts[b]` on."""
        self._parts, self._which = parts, which
        self._ends = counts.cumsum()
        self._shifts = firsts - (self._ends - counts)
        self.size = int(counts.sum())

    @classmethod
    def of(cls, parts: Sequence[NDArray[Any]]) -> Pile:
        """All samples of these parts."""
        counts = np.array([len(part) for part in parts], dtype=np.int64)
        return cls(parts, np.arange(len(parts)), np.zeros_like(counts), counts)

    @classmethod
    def owned(cls, ledgers: Sequence[Ledger], allowed: Subjects) -> Pile:
        """The samples of these ledgers that allowed subjects own."""
        chosen = [np.flatnonzero(allowed[ledger.subjects]) for ledger in ledgers]
        pairs = list(zip(ledgers, chosen, strict=True))
        return cls(
            [ledger.samples for ledger in ledgers],
            np.repeat(np.arange(len(ledgers)), [len(mine) for mine in chosen]),
            np.concatenate([ledger.starts[mine] for ledger, mine in pairs]),
            np.concatenate([ledger.counts[mine] for ledger, mine in pairs]),
        )

    def draw(self, words: Words, wanted: int) -> tuple[Indices, Indices] | None:
        """`wanted` different places at random: the samples there, and which part each comes from;
        None if too few.
        """
        if self.size < wanted:
            return None
        places = np.array(distinct(words.bulk(wanted).tolist(), self.size), dtype=np.int64)
        block = np.searchsorted(self._ends, places, side="right")
        which, inside = self._which[block], places + self._shifts[block]
        samples = np.empty(wanted, dtype=np.int64)
        for part in np.unique(which).tolist():
            mine = which == part
            samples[mine] = self._parts[part][inside[mine]]
        return samples, which
