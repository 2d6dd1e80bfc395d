"""The same episodes at several numbers of shots, for shots-versus-score curves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from torchcross.data.request import positive
from torchcross.data.words import Stream
from torchcross.errors import InputError
from torchcross.plan import EpisodePlan

if TYPE_CHECKING:
    from torchcross.data.sampler import EpisodeSampler

__all__ = ["ShotCurve"]


class ShotCurve:
    """`curve[i]` maps each number of shots to the plan of episode i.

    Nested (the default): the plan with the most shots is drawn, every smaller support is part of the next larger one,
    and all share the query. For multi-label the parts are minimal again. Not nested: independent supports and queries.
    """

    def __init__(self, sampler: EpisodeSampler, shots: Sequence[int], *, nested: bool = True) -> None:
        counts = sorted({positive("shots", count) for count in shots})
        if not counts:
            raise InputError("a shot curve needs at least one number of shots")
        self.shots = tuple(counts)
        self.nested = nested
        wanted = counts[-1:] if nested else counts
        self._samplers = {count: sampler.with_shots(count) for count in wanted}
        self._stream = Stream(sampler.seed, "fewer shots", *(source.name for source in sampler.sources))

    def sampler(self, shots: int) -> EpisodeSampler:
        """The sampler that draws the episodes with these shots (nested: only the most shots are drawn)."""
        if shots not in self._samplers:
            raise InputError(f"no sampler draws {shots} shots here; there are {list(self._samplers)}")
        return self._samplers[shots]

    def __getitem__(self, index: int) -> dict[int, EpisodePlan]:
        if not self.nested:
            return {count: self._samplers[count][index] for count in self.shots}
        most = self.shots[-1]
        sampler = self._samplers[most]
        plan = sampler[index]
        plans = {most: plan}
        for count in reversed(self.shots[:-1]):
            plan = sampler.fewer_shots(plan, count, self._stream.words(index, count))
            plans[count] = plan
        return dict(sorted(plans.items()))

    def stream(self, start: int, stop: int) -> Iterator[dict[int, EpisodePlan]]:
        """The curves of episodes start..stop-1."""
        return (self[index] for index in range(start, stop))

    def __len__(self) -> int:
        return len(self._samplers[self.shots[-1]])

    def __repr__(self) -> str:
        return f"ShotCurve({list(self.shots)}, nested={self.nested})"
