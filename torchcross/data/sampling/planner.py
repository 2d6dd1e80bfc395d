"""From an episode's number to its plan: the fast way where there is one, else bounded attempts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from torchcross._kit.randomness import Stream, Words
from torchcross.data.sampling.class_index import ClassIndex
from torchcross.data.sampling.cover import CoverDrawer
from torchcross.data.sampling.fast_partition import FastPartitionDrawer
from torchcross.data.sampling.feasibility import Eligible
from torchcross.data.sampling.partition import PartitionDrawer
from torchcross.data.sampling.request import Request
from torchcross.data.sampling.shuffle import Used
from torchcross.data.sources.source import TaskSource
from torchcross.errors import InfeasibleError
from torchcross.plan import EpisodePlan
from torchcross.targets.strata import Cover, Partition, Strata

ATTEMPTS = 100


class Drawer(Protocol):
    """One kind of strata: how a single attempt at an episode goes."""

    request: Request
    name: str
    index: ClassIndex
    eligible: Eligible
    exclusive: bool

    def fast(self) -> FastPartitionDrawer | None: ...

    def attempt(
        self, number: int, attempt: int, used: Used = None, classes: tuple[int, ...] | None = None
    ) -> EpisodePlan | None: ...

    def fewer_shots(self, plan: EpisodePlan, shots: int, words: Words) -> EpisodePlan: ...


_DRAWERS: dict[type[Strata], Callable[[Request, TaskSource, Any, Stream], Drawer]] = {
    Partition: PartitionDrawer,
    Cover: CoverDrawer,
}


class SourcePlanner:
    """Plans of one source."""

    def __init__(self, request: Request, source: TaskSource, seed: int) -> None:
        self.source = source
        self.request = request
        stream = Stream(seed, "plan", source.name, *request.describe())
        strata = source.task.target.strata(source.labels)
        self.drawer = _DRAWERS[type(strata)](request, source, strata, stream)
        self._fast = self.drawer.fast()

    @property
    def eligible(self) -> Eligible:
        return self.drawer.eligible

    def plan(self, number: int) -> EpisodePlan:
        if self._fast is not None:
            return self._fast.plan(number)
        return self.attempts(number)

    def plans(self, numbers: range) -> list[EpisodePlan]:
        if self._fast is not None and numbers.step == 1:
            return self._fast.plans(numbers)
        return [self.plan(number) for number in numbers]

    def attempts(
        self, number: int, used: Used = None, classes: tuple[int, ...] | None = None
    ) -> EpisodePlan:
        """The first attempt that succeeds. Attempts are numbered, so it is always the same."""
        for attempt in range(ATTEMPTS):
            plan = self.drawer.attempt(number, attempt, used, classes)
            if plan is not None:
                return plan
        raise InfeasibleError(self._failure(number))

    def _failure(self, number: int) -> str:
        request, name = self.request, self.source.name
        reason = "labels overlap so much that the support uses up what the query needs:"
        advice = "fewer shots, fewer queries or fewer ways"
        if self.source.groups is not None and request.groups == "respect":
            reason = "no subject may stand in both support and query, and"
            advice += ", or groups='ignore'"
        counts_by_class = list(self.source.counts().items())[:10]
        counts = ", ".join(f"{label!r}: {count}" for label, count in counts_by_class)
        if self.source.groups is not None:
            counts += f"; from {len(np.unique(self.source.groups))} subjects"
        return (
            f"source {name!r} could not give episode {number} ({request.shot_range[1]} shots,"
            f" {request.queries} queries) in {ATTEMPTS} attempts: {reason} the samples ({counts})"
            f" cannot be divided that way, or hardly ever. Possible: {advice}"
        )
