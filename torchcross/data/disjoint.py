"""Episodes that share no sample: a finite number, laid out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from torchcross._arrays import Indices
from torchcross.data._shuffle import any_order
from torchcross.data.drawer import SourcePlanner
from torchcross.data.feasibility import needed_per_class
from torchcross.data.mixture import SourceChoice
from torchcross.data.words import Stream, Words
from torchcross.errors import InfeasibleError
from torchcross.plan import EpisodePlan, PlanBatch

__all__ = ["lay_out_disjoint"]

_FREE_TRIES = 16


def lay_out_disjoint(planners: Sequence[SourcePlanner], choice: SourceChoice, count: int, seed: int) -> PlanBatch:
    """`count` plans without a common sample, or an InfeasibleError that says how many there can be.

    Which source an episode comes from is drawn as without disjointness; then every source lays out its own episodes.
    """
    stream = Stream(seed, "disjoint", count, *(planner.source.name for planner in planners))
    positions = choice.positions(0, count)
    plans: dict[int, EpisodePlan] = {}
    for planner in planners:
        numbers = [int(n) for n in np.flatnonzero(positions == choice.position(planner.source.name))]
        if numbers:
            laid_out = _Layout(planner, len(numbers), stream.words(0, len(plans))).plans(numbers)
            plans |= {number: replace(plan, index=number) for number, plan in zip(numbers, laid_out, strict=True)}
    return PlanBatch([plans[number] for number in range(count)])


class _Layout:
    """The disjoint episodes of one source."""

    def __init__(self, planner: SourcePlanner, count: int, words: Words) -> None:
        self.planner = planner
        self.count = count
        self.words = words
        self.used = np.zeros(len(planner.source), dtype=bool)
        self._need = needed_per_class(planner.request)

    def plans(self, numbers: Sequence[int]) -> list[EpisodePlan]:
        """One plan per number. Scarce classes are used up late in the layout, so the order is shuffled in the end."""
        if self.planner.drawer.exclusive:
            self._refuse_what_counting_disproves()
        found: list[EpisodePlan] = []
        for number in numbers:
            classes = self._classes(self.count - len(found)) if self.planner.drawer.exclusive else None
            try:
                plan = self.planner.attempts(number, self.used, classes)
            except InfeasibleError as error:
                raise InfeasibleError(self._exhausted(len(found))) from error
            self.used[plan.support] = True
            self.used[plan.query] = True
            found.append(plan)
        return [found[place] for place in any_order(self.words, len(found))]

    def _capacity(self) -> Indices:
        """How many more episodes each eligible class can serve."""
        index = self.planner.drawer.index
        unused = [index.unused(c, self.used) for c in self.planner.eligible.classes]
        return np.array(unused, dtype=np.int64) // self._need

    def _classes(self, left: int) -> tuple[int, ...]:
        """Random classes that leave enough for the episodes to come; the fullest classes where chance finds none."""
        eligible = self.planner.eligible
        low, high = eligible.ways
        ways = low + self.words.below(high - low + 1)
        if ways == len(eligible.classes):
            return eligible.classes
        capacity = self._capacity()
        for _ in range(_FREE_TRIES):
            chosen = any_order(self.words, len(capacity))[:ways]
            after = capacity.copy()
            after[chosen] -= 1
            if after.min() >= 0 and _suffices(after, left - 1, high):
                break
        else:
            order = any_order(self.words, len(capacity))
            chosen = sorted(order, key=lambda place: -int(capacity[place]))[:ways]
        return tuple(sorted(eligible.classes[place] for place in chosen))

    def _refuse_what_counting_disproves(self) -> None:
        capacity, ways = self._capacity(), self.planner.eligible.ways[0]
        if not _suffices(capacity, self.count, ways):
            possible = _most_episodes(capacity, self.count, ways)
            scarce = min(self.planner.source.counts().items(), key=lambda item: item[1])
            raise InfeasibleError(
                f"source {self.planner.source.name!r} cannot give {self.count} disjoint episodes of {ways} classes "
                f"with {self._need} samples each; its rarest class {scarce[0]!r} has {scarce[1]} samples. "
                f"Possible: at most {possible} disjoint episodes, or fewer shots, queries or ways"
            )

    def _exhausted(self, found: int) -> str:
        return (
            f"source {self.planner.source.name!r} gave {found} disjoint episodes and then no more; {self.count} were "
            f"asked for. Possible: disjoint={found}, or fewer shots, queries or ways"
        )


def _suffices(capacity: Indices, episodes: int, ways: int) -> bool:
    """Whether classes that serve capacity[c] episodes each can fill `episodes` episodes of `ways` different classes."""
    return int(np.minimum(capacity, episodes).sum()) >= episodes * ways


def _most_episodes(capacity: Indices, below: int, ways: int) -> int:
    low, high = 0, below
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _suffices(capacity, middle, ways) else (low, middle - 1)
    return low
