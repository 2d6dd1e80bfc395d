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
from torchcross.data.sampling.feasibility import needed_per_class
from torchcross.data.sampling.mixture import SourceChoice
from torchcross.data.sampling.planner import SourcePlanner
from torchcross.data.sampling.request import MetaDatasetShots
from torchcross.data.sampling.shuffle import any_order
from torchcross.errors import InfeasibleError
from torchcross.plan import EpisodePlan, PlanBatch
from torchcross.targets.strata import Cover, Partition, Strata

__all__ = ["lay_out_disjoint"]

_FREE_TRIES = 16


@dataclass(frozen=True)
class _Shortage:
    """A source that gave `given` of the `wanted` episodes that fell to it; the first missing is
    number `reached`.
    """

    source: str
    given: int
    wanted: int
    reached: int
    reason: str


def lay_out_disjoint(
    planners: Sequence[SourcePlanner], choice: SourceChoice, count: int, seed: int
) -> PlanBatch:
    """`count` plans without a common sample, or an InfeasibleError that says how many there can be.

    Which source an episode comes from is drawn as without disjointness; then every source lays out
    its own episodes.
    """
    found = _lay_out(planners, choice, count, seed)
    if isinstance(found, PlanBatch):
        return found
    possible = _fewer(planners, choice, found, count, seed)
    asked = (
        f"{count} were asked for" if len(planners) == 1 else f"{found.wanted} of {count} fall to it"
    )
    raise InfeasibleError(
        f"source {found.source!r} gives {found.given} disjoint episodes and then no more, {asked}:"
        f" {found.reason}. Possible: {f'disjoint={possible}' if possible else 'none'}, or fewer"
        " shots, queries or ways"
    )


def _lay_out(
    planners: Sequence[SourcePlanner], choice: SourceChoice, count: int, seed: int
) -> PlanBatch | _Shortage:
    stream = Stream(seed, "disjoint", count, *(planner.source.name for planner in planners))
    positions = choice.positions(0, count)
    plans: dict[int, EpisodePlan] = {}
    for planner in planners:
        numbers = [
            int(n) for n in np.flatnonzero(positions == choice.position(planner.source.name))
        ]
        if numbers:
            laid_out = _Layout(planner, len(numbers), stream.words(0, len(plans))).plans(numbers)
            if isinstance(laid_out, _Shortage):
                return laid_out
            plans |= {
                number: replace(plan, index=number)
                for number, plan in zip(numbers, laid_out, strict=True)
            }
    return PlanBatch([plans[number] for number in range(count)])


def _fewer(
    planners: Sequence[SourcePlanner], choice: SourceChoice, found: _Shortage, count: int, seed: int
) -> int:
    """A smaller number of episodes that was laid out and did fit; every number is a layout of its
    own.
    """
    outcome: PlanBatch | _Shortage = found
    step = 0
    while isinstance(outcome, _Shortage) and count > 0:
        count = min(outcome.reached, count - step)
        outcome = _lay_out(planners, choice, count, seed) if count else outcome
        step = max(1, count // 10)
    return count


class _Layout:
    """The disjoint episodes of one source."""

    def __init__(self, planner: SourcePlanner, count: int, words: Words) -> None:
        self.planner = planner
        self.count = count
        self.words = words
        self.used = np.zeros(len(planner.source), dtype=bool)
        self._need = needed_per_class(planner.request)
        self._classes = planner.eligible.classes
        self._strata = planner.source.task.target.strata(planner.source.labels)
        self._stock = _tally(self._strata, slice(None))[list(self._classes)]

    def plans(self, numbers: Sequence[int]) -> list[EpisodePlan] | _Shortage:
        """One plan per number. Scarce classes are used up late in the layout, so the order is
        shuffled in the end.
        """
        fewest = self.planner.eligible.ways[0]
        if not _suffices(self._capacity(), self.count, fewest):
            return self._shortage(
                numbers, _most_episodes(self._capacity(), self.count, fewest), self._scarcity()
            )
        found: list[EpisodePlan] = []
        for number in numbers:
            left = self.count - len(found)
            classes = self._choose(left) if self.planner.drawer.exclusive else None
            try:
                plan = self.planner.attempts(number, self._out_of_reach(classes, left), classes)
            except InfeasibleError:
                return self._shortage(numbers, len(found), "what is left does not make another one")
            self._use(plan)
            found.append(plan)
        return [found[place] for place in any_order(self.words, len(found))]

    def _shortage(self, numbers: Sequence[int], given: int, reason: str) -> _Shortage:
        return _Shortage(self.planner.source.name, given, self.count, numbers[given], reason)

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
        """How many more episodes each eligible class can serve at most."""
        capacity: Indices = self._stock.min(axis=1) // self._need
        return capacity

    def _choose(self, left: int) -> tuple[int, ...]:
        """Random classes that leave enough for the episodes to come; where chance finds none, the
        fullest or fewer.
        """
        low, high = self.planner.eligible.ways
        ways = low + self.words.below(high - low + 1)
        capacity = self._capacity()
        later = high if _suffices(capacity, left, high) else low
        for _ in range(_FREE_TRIES):
            chosen = any_order(self.words, len(capacity))[:ways]
            if _leaves_enough(capacity, chosen, left - 1, later):
                break
        else:
            order = any_order(self.words, len(capacity))
            fullest = sorted(order, key=lambda place: -int(capacity[place]))
            fits = (
                w
                for w in range(ways, low, -1)
                if _leaves_enough(capacity, fullest[:w], left - 1, low)
            )
            chosen = fullest[: next(fits, low)]
        return tuple(sorted(self._classes[place] for place in chosen))

    def _out_of_reach(self, classes: Sequence[int] | None, left: int) -> NDArray[np.bool_]:
        """What an episode may not use. One of variable size is kept to its share, or it would use
        up its classes.
        """
        if classes is None or not isinstance(self.planner.request.shots, MetaDatasetShots):
            return self.used
        out = self.used.copy()
        for c in classes:
            members = self.planner.drawer.index.members(c)
            free = members[~self.used[members]]
            share = max(self._need, len(free) // left)
            out[free[any_order(self.words, len(free))[share:]]] = True
        return out


@singledispatch
def _tally(strata: Strata, samples: Any) -> Indices:
    """(classes, kinds): how many of these samples each class has, of every kind that an episode
    needs.
    """
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
    """Whether classes that serve capacity[c] episodes each can fill `episodes` episodes of `ways`
    different classes.
    """
    return int(np.minimum(capacity, episodes).sum()) >= episodes * ways


def _leaves_enough(capacity: Indices, chosen: Sequence[int], episodes: int, ways: int) -> bool:
    after = capacity.copy()
    after[list(chosen)] -= 1
    return int(after.min()) >= 0 and _suffices(after, episodes, ways)


def _most_episodes(capacity: Indices, below: int, ways: int) -> int:
    low, high = 0, below
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _suffices(capacity, middle, ways) else (low, middle - 1)
    return low
