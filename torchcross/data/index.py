"""Which samples a class has, laid out once so that a draw costs the same for a thousand samples or ten million."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from torchcross._arrays import Indices
from torchcross.data.feasibility import Supply
from torchcross.targets.strata import Cover, Partition

__all__ = ["ClassIndex"]


@dataclass(frozen=True, eq=False)
class ClassIndex:
    """Sample numbers grouped by stratum: stratum s has `order[starts[s] : starts[s] + counts[s]]`, ascending."""

    order: NDArray[np.int32] | Indices
    starts: Indices
    counts: Indices

    @classmethod
    def of_partition(cls, strata: Partition) -> ClassIndex:
        """One stratum per class; samples without a class stand in none."""
        counts = np.bincount(strata.codes[strata.codes >= 0], minlength=strata.num_classes)
        unknown = len(strata.codes) - int(counts.sum())
        order = np.argsort(strata.codes, kind="stable")[unknown:]
        return cls(_narrow(order, len(strata.codes)), np.cumsum(counts) - counts, counts)

    @classmethod
    def of_cover(cls, strata: Cover) -> ClassIndex:
        """Two strata per label, samples without it (0..L-1) and with it (L..2L-1); the last stratum is every sample."""
        columns = [
            np.flatnonzero(strata.answers[:, c] == answer) for answer in (0, 1) for c in range(strata.num_classes)
        ]
        columns.append(np.arange(len(strata.answers)))
        counts = np.array([len(column) for column in columns], dtype=np.int64)
        order = np.concatenate([_narrow(column, len(strata.answers)) for column in columns])
        return cls(order, np.cumsum(counts) - counts, counts)

    def members(self, stratum: int) -> NDArray[np.int32] | Indices:
        start = self.starts[stratum]
        return self.order[start : start + self.counts[stratum]]

    def largest_subject(self, groups: Indices | None) -> Indices:
        """For every stratum, the most of its samples that one subject owns; 0 without subjects."""
        if groups is None:
            return np.zeros_like(self.counts)
        found = [np.bincount(groups[self.members(s)]).max(initial=0) for s in range(len(self.counts))]
        return np.array(found, dtype=np.int64)

    def unused(self, stratum: int, used: NDArray[np.bool_] | None) -> int:
        """How many samples of a stratum are not used up."""
        return int(self.counts[stratum] if used is None else (~used[self.members(stratum)]).sum())


def partition_supply(index: ClassIndex, groups: Indices | None) -> Supply:
    return Supply(index.counts, index.largest_subject(groups), "samples")


def cover_supply(index: ClassIndex, groups: Indices | None) -> Supply:
    """Per label the rarer answer."""
    sides = index.counts[:-1].reshape(2, -1)
    largest = index.largest_subject(groups)[:-1].reshape(2, -1)
    rarer = sides.argmin(axis=0)
    labels = np.arange(sides.shape[1])
    return Supply(sides[rarer, labels], largest[rarer, labels], "samples of its rarer answer")


def _narrow(order: Indices, samples: int) -> NDArray[np.int32] | Indices:
    return order.astype(np.int32) if samples < 2**31 else order
