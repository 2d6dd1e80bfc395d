"""The same episodes at several numbers of shots, for shots-versus-score curves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torchcross._kit.argument_checks import as_int
from torchcross._kit.randomness import Stream
from torchcross.data.sources.source import TaskSource
from torchcross.errors import InputError
from torchcross.plan import EpisodePlan, PlanBatch

if TYPE_CHECKING:
    from torchcross.data.sampling.sampler import EpisodeSampler


class ShotCurve:
    """`curve[i]` maps each number of shots to the plan of episode i.

    Nested (the default): the plan with the most shots is drawn, every smaller support is part of
    the next larger one, and all share the query. For multi-label the parts are minimal again. Not
    nested: independent supports and queries.

    `keep` is for how many bytes plans are kept, those of the first episodes that are asked for: at
    the next number of shots they need not be drawn again.

    >>> from torchcross.data import toys
    >>> sampler = tx.EpisodeSampler(toys.multiclass(200, size=8), queries=4)
    >>> curve = sampler.curve([1, 5])
    >>> few, many = curve.at(1)[0], curve.at(5)[0]
    >>> set(few.support) <= set(many.support), bool((few.query == many.query).all())
    (True, True)
    """

    def __init__(
        self, sampler: EpisodeSampler, shots: Sequence[int], *, nested: bool = True, keep: int = 0
    ) -> None:
        counts = sorted({as_int("shots", count) for count in shots})
        if not counts:
            raise InputError("a shot curve needs at least one number of shots")
        self.shots = tuple(counts)
        self.nested = nested
        wanted = counts[-1:] if nested else counts
        self._samplers = {count: sampler.with_shots(count) for count in wanted}
        self._room = as_int("keep", keep, least=0)
        self._kept: dict[int, dict[int, EpisodePlan]] = {}
        self._stream = Stream(
            sampler.seed, "fewer shots", *(source.name for source in sampler.sources)
        )

    def at(self, shots: int) -> CurveLevel:
        """The plans at one number of shots, for everything that takes a sampler.

        At 0 shots, which every curve has, the support is empty and the query that of the most.
        """
        if shots not in (0, *self.shots):
            raise InputError(f"this curve has no {shots} shots; it has {list(self.shots)}, and 0")
        return CurveLevel(self, shots)

    @property
    def sampler(self) -> EpisodeSampler:
        """The sampler of the most shots."""
        return self._samplers[self.shots[-1]]

    def __getitem__(self, index: int) -> dict[int, EpisodePlan]:
        plans = self._kept.get(index)
        if plans is None:
            plans = self._draw(index)
            if self._room > 0:
                self._room -= _size_of(plans)
                self._kept[index] = plans
        return dict(plans)

    def _draw(self, index: int) -> dict[int, EpisodePlan]:
        if not self.nested:
            return {count: self._samplers[count][index] for count in self.shots}
        plan = self.sampler[index]
        plans = {self.shots[-1]: plan}
        for count in reversed(self.shots[:-1]):
            plan = self.sampler.fewer_shots(plan, count, self._stream.words(index, count))
            plans[count] = plan
        return dict(sorted(plans.items()))

    def stream(self, start: int, stop: int) -> Iterator[dict[int, EpisodePlan]]:
        """The curves of episodes start..stop-1."""
        return (self[index] for index in range(start, stop))

    def __len__(self) -> int:
        return len(self.sampler)

    def __repr__(self) -> str:
        return f"ShotCurve({list(self.shots)}, nested={self.nested})"


class CurveLevel:
    """The plans of a shot curve at one number of shots."""

    def __init__(
        self, curve: ShotCurve, shots: int, *, sampler: EpisodeSampler | None = None
    ) -> None:
        self.curve = curve
        self.shots = shots
        self._sampler = curve.sampler if sampler is None else sampler

    def read_from(self, sampler: EpisodeSampler) -> CurveLevel:
        """The same plans, read from the sources of a sampler that would draw the same ones.

        Such as sources of stored features, in place of those of the images.
        """
        return CurveLevel(self.curve, self.shots, sampler=sampler)

    def __getitem__(self, index: int) -> EpisodePlan:
        if self.shots == 0:
            return _without_support(self.curve.sampler[index])
        return self.curve[index][self.shots]

    def batch(self, indices: Iterable[int]) -> PlanBatch:
        return PlanBatch([self[index] for index in indices])

    @property
    def sources(self) -> tuple[TaskSource, ...]:
        return self._sampler.sources

    def source(self, name: str) -> TaskSource:
        return self._sampler.source(name)

    def shared_subjects(self, plan: EpisodePlan) -> int:
        return self._sampler.shared_subjects(plan)

    def provenance(self) -> dict[str, Any]:
        nested = {"curve": list(self.curve.shots), "nested": self.curve.nested, "shots": self.shots}
        return self.curve.sampler.provenance() | nested

    def __len__(self) -> int:
        return len(self.curve)

    def __repr__(self) -> str:
        return f"{self.curve!r}.at({self.shots})"


def _without_support(plan: EpisodePlan) -> EpisodePlan:
    """The same query, and nothing to learn from."""
    return replace(plan, shots=0, support=plan.support[:0], support_labels=plan.support_labels[:0])


def _size_of(plans: dict[int, EpisodePlan]) -> int:
    """How many bytes of numbers the plans of one episode hold; nested ones share the query."""
    arrays = (
        array
        for plan in plans.values()
        for array in (plan.query, plan.query_labels, plan.support, plan.support_labels)
    )
    return sum(array.nbytes for array in {id(array): array for array in arrays}.values())
