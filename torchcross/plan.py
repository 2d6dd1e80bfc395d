"""Episodes as data: which samples of which source, and their labels within the episode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from torchcross._kit.arrays import Indices, read_only

__all__ = ["EpisodePlan", "PlanBatch"]


@dataclass(frozen=True, eq=False, slots=True)
class EpisodePlan:
    """Episode number `index`: samples of the source named `source`.

    `classes` are positions in the source's target, ascending; `support_labels` and `query_labels`
    are positions in `classes` (or, for multi-label, one column per chosen label). `shots` is k
    where every class got the same k, or where a natural support has k x ways samples. Arrays are
    read-only. Equal plans compare equal.
    """

    index: int
    source: str
    classes: tuple[int, ...]
    shots: int | None
    support: Indices
    support_labels: Indices
    query: Indices
    query_labels: Indices

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EpisodePlan):
            return NotImplemented
        return self._scalars() == other._scalars() and all(
            np.array_equal(mine, theirs)
            for mine, theirs in zip(self._arrays(), other._arrays(), strict=True)
        )

    def __hash__(self) -> int:
        return hash((*self._scalars(), *(array.tobytes() for array in self._arrays())))

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (*self._scalars(), *self._arrays())

    def _scalars(self) -> tuple[int, str, tuple[int, ...], int | None]:
        return self.index, self.source, self.classes, self.shots

    def _arrays(self) -> tuple[Indices, Indices, Indices, Indices]:
        return self.support, self.support_labels, self.query, self.query_labels

    @property
    def ways(self) -> int:
        return len(self.classes)

    @property
    def missing_classes(self) -> tuple[int, ...]:
        """Classes of which the support has no sample, as positions in the source's target.

        Of labels: those that it has not both with and without. A natural support may miss some, and
        no other does: not the empty one of 0 shots either.
        """
        labels, places = self.support_labels, range(len(self.classes))
        if not len(labels):
            return ()
        if labels.ndim == 1:
            there = np.bincount(labels[labels >= 0], minlength=len(places)) > 0
        else:
            there = (labels == 0).any(axis=0) & (labels == 1).any(axis=0)
        return tuple(self.classes[place] for place in places if not there[place])

    def __repr__(self) -> str:
        shots = "mixed shots" if self.shots is None else f"{self.shots}-shot"
        return (
            f"EpisodePlan({self.index} of {self.source!r}: {self.ways}-way {shots}, "
            f"{len(self.support)} support, {len(self.query)} query)"
        )


def _restore(
    index: int, source: str, classes: tuple[int, ...], shots: int | None, *arrays: Indices
) -> EpisodePlan:
    """A plan out of its pickle, where arrays forget that they are read-only."""
    return EpisodePlan(index, source, classes, shots, *map(read_only, arrays))


class PlanBatch(Sequence[EpisodePlan]):
    """Several plans. A plain immutable sequence: index it, slice it, save it."""

    __slots__ = ("_plans",)

    def __init__(self, plans: Sequence[EpisodePlan]) -> None:
        self._plans = tuple(plans)

    def __len__(self) -> int:
        return len(self._plans)

    @overload
    def __getitem__(self, item: int) -> EpisodePlan: ...
    @overload
    def __getitem__(self, item: slice) -> PlanBatch: ...
    def __getitem__(self, item: int | slice) -> EpisodePlan | PlanBatch:
        return PlanBatch(self._plans[item]) if isinstance(item, slice) else self._plans[item]

    def __iter__(self) -> Iterator[EpisodePlan]:
        return iter(self._plans)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlanBatch) and self._plans == other._plans

    def __hash__(self) -> int:
        return hash(self._plans)

    def __repr__(self) -> str:
        return f"PlanBatch({len(self)} plans)"
