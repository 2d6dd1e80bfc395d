"""Which samples a class has, laid out once: a draw costs the same for any number of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices
from torchcross.data.sampling.supply import Stratum, Supply
from torchcross.targets.strata import Cover, Partition


@dataclass(frozen=True, eq=False)
class ClassIndex:
    """Sample numbers by stratum: s has `order[starts[s] : starts[s] + counts[s]]`, ascending."""

    order: NDArray[np.int32] | Indices
    starts: Indices
    counts: Indices

    @classmethod
    def of_partition(cls, strata: Partition) -> ClassIndex:
        """One stratum per class; samples without a class stand in none."""
        counts = np.bincount(strata.codes[strata.codes >= 0], minlength=strata.num_classes)
        unknown = len(strata.codes) - int(counts.sum())
        order = np.argsort(strata.codes, kind="stable")[unknown:]
        return cls(narrow(order, len(strata.codes)), np.cumsum(counts) - counts, counts)

    @classmethod
    def of_cover(cls, strata: Cover) -> ClassIndex:
        """Two strata for each label: samples without it (0..L-1) and with it (L..2L-1).

        The last stratum is every sample with a known answer.
        """
        columns = [
            np.flatnonzero(strata.answers[:, c] == answer)
            for answer in (0, 1)
            for c in range(strata.num_classes)
        ]
        columns.append(np.flatnonzero((strata.answers >= 0).any(axis=1)))
        counts = np.array([len(column) for column in columns], dtype=np.int64)
        order = np.concatenate([narrow(column, len(strata.answers)) for column in columns])
        return cls(order, np.cumsum(counts) - counts, counts)

    def members(self, stratum: int) -> NDArray[np.int32] | Indices:
        start = self.starts[stratum]
        return self.order[start : start + self.counts[stratum]]

    def count_by_subject(self, stratum: int, groups: Indices | None) -> Indices | None:
        """How many samples of a stratum each subject owns; None without subjects."""
        if groups is None:
            return None
        return _count_each(groups[self.members(stratum)])

    def count_unused(self, stratum: int, used: NDArray[np.bool_] | None) -> int:
        """How many samples of a stratum are not used up."""
        if used is None:
            return int(self.counts[stratum])
        return int((~used[self.members(stratum)]).sum())


def partition_supply(index: ClassIndex, groups: Indices | None) -> Supply:
    def stratum(c: int) -> Stratum:
        return Stratum("samples", int(index.counts[c]), index.count_by_subject(c, groups))

    owned = None if groups is None else _count_each(groups[index.order])
    everything = Stratum("samples", len(index.order), owned)
    classes = [(stratum(c),) for c in range(len(index.counts))]
    return Supply(
        classes, everything, lambda chosen: int(index.counts[list(chosen)].sum()), exclusive=True
    )


def cover_supply(
    index: ClassIndex, groups: Indices | None, answers: NDArray[np.signedinteger[Any]]
) -> Supply:
    labels = (len(index.counts) - 1) // 2

    def stratum(place: int, unit: str) -> Stratum:
        return Stratum(unit, int(index.counts[place]), index.count_by_subject(place, groups))

    def count_known(chosen: Sequence[int]) -> int:
        """Samples with an answer to one of these labels."""
        most = max(int(index.counts[[c, labels + c]].sum()) for c in chosen)
        everyone = int(index.counts[-1])
        if most == everyone:  # One label has them all: nothing to count.
            return everyone
        return int((answers[:, list(chosen)] >= 0).any(axis=1).sum())

    classes = [
        (stratum(labels + c, "samples with it"), stratum(c, "samples without it"))
        for c in range(labels)
    ]
    return Supply(
        classes, stratum(2 * labels, "samples with a known label"), count_known, exclusive=False
    )


def _count_each(subjects: Indices) -> Indices:
    """How often each subject occurs, those that do not left out."""
    counts = np.bincount(subjects)
    return counts[counts > 0]


def narrow(order: Indices, samples: int) -> NDArray[np.int32] | Indices:
    """Numbers of samples in half the memory, where they fit."""
    return order.astype(np.int32) if samples < 2**31 else order
