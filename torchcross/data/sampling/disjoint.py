"""Episodes that share no sample: a finite number, laid out once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices
from torchcross._kit.randomness import Stream, Words
from torchcross.data.sampling.feasibility import used_per_class
from torchcross.data.sampling.mixture import SourceChoice
from torchcross.data.sampling.planner import SourcePlanner
from torchcross.data.sampling.request import MetaDatasetShots
from torchcross.data.sampling.shuffle import any_order
from torchcross.errors import InfeasibleError
from torchcross.plan import EpisodePlan, PlanBatch
from torchcross.targets.strata import Cover, Partition, Strata

_FREE_TRIES = 16


@dataclass(frozen=True)
class _Shortage:
    """A source that gives `possible` of the `wanted` episodes that fall to it.

    The first missing episode has the number `first_missing`.
    """

    source: str
    possible: int
    wanted: int
    first_missing: int
    reason: str


def lay_out_disjoint(
    planners: Sequence[SourcePlanner], choice: SourceChoice, count: int, seed: int
) -> PlanBatch:
    """`count` plans without a common sample, or an InfeasibleError that says how many there can be.

    Which source an episode comes from is drawn as without disjointness; then every source lays out
    its own episodes.
    """
    layout = _lay_out(planners, choice, count, seed)
    if isinstance(layout, PlanBatch):
        return layout
    possible = _largest_layout(planners, choice, layout, count, seed)
    wanted = f"{layout.wanted} of {count} fall to it"
    if len(planners) == 1:
        wanted = f"{count} were asked for"
    raise InfeasibleError(
        f"source {layout.source!r} gives {layout.possible} disjoint episodes and then no more,"
        f" {wanted}: {layout.reason}. Possible: {f'disjoint={possible}' if possible else 'none'},"
        " or fewer shots, queries or ways"
    )


def _lay_out(
    planners: Sequence[SourcePlanner], choice: SourceChoice, count: int, seed: int
) -> PlanBatch | _Shortage:
    stream = Stream(seed, "disjoint", count, *(planner.source.name for planner in planners))
    positions = choice.positions(0, count)
    plans: dict[int, EpisodePlan] = {}
    for planner in planners:
        numbers = np.flatnonzero(positions == choice.position(planner.source.name)).tolist()
        if not numbers:
            continue
        layout = _Layout(planner, len(numbers), stream.words(0, len(plans))).plans(numbers)
        if isinstance(layout, _Shortage):
            return layout
        for number, plan in zip(numbers, layout, strict=True):
            plans[number] = replace(plan, index=number)
    return PlanBatch([plans[number] for number in range(count)])


def _largest_layout(
    planners: Sequence[SourcePlanner],
    choice: SourceChoice,
    layout: PlanBatch | _Shortage,
    count: int,
    seed: int,
) -> int:
    """A smaller number of episodes that fits; every number is laid out anew."""
    step = 0
    while isinstance(layout, _Shortage) and count > 0:
        count = min(layout.first_missing, count - step)
        if count:
            layout = _lay_out(planners, choice, count, seed)
        step = max(1, count // 10)
    return count


class _Layout:
    """The disjoint episodes of one source."""

    def __init__(self, planner: SourcePlanner, count: int, words: Words) -> None:
        self.planner = planner
        self.count = count
        self.words = words
        self.used = np.zeros(len(planner.source), dtype=bool)
        self._need = used_per_class(planner.request)
        self._classes = planner.eligible.classes
        self._strata = planner.source.task.target.strata(planner.source.labels)
        self._stock = _tally(self._strata, slice(None))[list(self._classes)]

    def plans(self, numbers: Sequence[int]) -> list[EpisodePlan] | _Shortage:
        """One plan per number, in random order: scarce classes are used up late in the layout."""
        fewest = self.planner.eligible.ways[0]
        if not _suffices(self._capacity(), self.count, fewest):
            possible = _most_episodes(self._capacity(), self.count, fewest)
            return self._shortage(numbers, possible, self._scarcity())
        plans: list[EpisodePlan] = []
        for number in numbers:
            missing = self.count - len(plans)
            classes = self._choose(missing) if self.planner.drawer.exclusive else None
            try:
                plan = self.planner.attempts(number, self._unusable(classes, missing), classes)
            except InfeasibleError:
                return self._shortage(numbers, len(plans), "what is left does not make another one")
            self._use(plan)
            plans.append(plan)
        return [plans[place] for place in any_order(self.words, len(plans))]

    def _shortage(self, numbers: Sequence[int], possible: int, reason: str) -> _Shortage:
        name = self.planner.source.name
        return _Shortage(name, possible, self.count, numbers[possible], reason)

    def _scarcity(self) -> str:
        rarest = int(self._stock.min(axis=1).argmin())
        name = self.planner.source.task.target.classes[self._classes[rarest]]
        return (
            f"an episode takes {self._need} samples of {self.planner.eligible.ways[0]} classes or"
            f" more, and the rarest class {name!r} has {int(self._stock[rarest].min())}"
        )

    def _use(self, plan: EpisodePlan) -> None:
        for samples in (plan.support, plan.query):
            self.used[samples] = True
            self._stock -= _tally(self._strata, samples)[list(self._classes)]

    def _capacity(self) -> Indices:
        """How many more episodes each eligible class can serve at most.

        Where nothing is balanced a class serves any number: an episode may have none of it.
        """
        if not self._need:
            return np.full(len(self._classes), self.count)
        capacity: Indices = self._stock.min(axis=1) // self._need
        return capacity

    def _choose(self, missing: int) -> tuple[int, ...]:
        """Random classes that leave enough for the other missing episodes.

        Where chance finds none, the fullest classes, or fewer of them.
        """
        low, high = self.planner.eligible.ways
        ways = low + self.words.below(high - low + 1)
        capacity = self._capacity()
        later_ways = high if _suffices(capacity, missing, high) else low
        for _ in range(_FREE_TRIES):
            places = any_order(self.words, len(capacity))[:ways]
            if _leaves_enough(capacity, places, missing - 1, later_ways):
                break
        else:
            order = any_order(self.words, len(capacity))
            fullest = sorted(order, key=lambda place: -int(capacity[place]))
            while ways > low and not _leaves_enough(capacity, fullest[:ways], missing - 1, low):
                ways -= 1
            places = fullest[:ways]
        return tuple(sorted(self._classes[place] for place in places))

    def _unusable(self, classes: Sequence[int] | None, missing: int) -> NDArray[np.bool_]:
        """Samples that an episode may not use.

        An episode of variable size gets its share, or it would use up its classes.
        """
        if classes is None or not isinstance(self.planner.request.shots, MetaDatasetShots):
            return self.used
        unusable = self.used.copy()
        for c in classes:
            members = self.planner.drawer.index.members(c)
            free = members[~self.used[members]]
            share = max(self._need, len(free) // missing)
            unusable[free[any_order(self.words, len(free))[share:]]] = True
        return unusable


@singledispatch
def _tally(strata: Strata, samples: Any) -> Indices:
    """(classes, kinds): how many of these samples each class has, of each kind of answer."""
    raise TypeError(f"no tally for strata of type {type(strata).__name__}")


@_tally.register
def _(strata: Partition, samples: Any) -> Indices:
    codes = strata.codes[samples]
    return np.bincount(codes[codes >= 0], minlength=strata.num_classes)[:, None]


@_tally.register
def _(strata: Cover, samples: Any) -> Indices:
    answers = strata.answers[samples]
    return np.stack([(answers == answer).sum(axis=0) for answer in (0, 1)], axis=1)


def _suffices(capacity: Indices, episodes: int, ways: int) -> bool:
    """Whether the classes can fill the episodes, class c at most capacity[c] of them."""
    return int(np.minimum(capacity, episodes).sum()) >= episodes * ways


def _leaves_enough(capacity: Indices, places: Sequence[int], episodes: int, ways: int) -> bool:
    after = capacity.copy()
    after[list(places)] -= 1
    return int(after.min()) >= 0 and _suffices(after, episodes, ways)


def _most_episodes(capacity: Indices, below: int, ways: int) -> int:
    low, high = 0, below
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _suffices(capacity, middle, ways) else (low, middle - 1)
    return low
