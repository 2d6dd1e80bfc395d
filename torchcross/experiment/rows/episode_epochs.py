"""Plans of episodes that come in epochs: as many of each source, in a shuffled order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import final

import numpy as np

from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.randomness import Stream, permutation
from torchcross.data import EpisodeSampler, TaskSource
from torchcross.data.sources.source import source_named
from torchcross.plan import EpisodePlan


@final
class EpisodeEpochs:
    """`EpisodeEpochs(samplers, per_source=1000)[n]` is plan n: a function of (seed, n) alone.

    Each sampler has one source. An epoch has `per_source` episodes of each. With `repeated=True`
    every epoch has the episodes of the first, in another order; else no episode comes twice. The
    index of a plan is its number here, so that what is drawn for it differs from epoch to epoch.
    """

    def __init__(
        self,
        samplers: Iterable[EpisodeSampler],
        *,
        per_source: int,
        repeated: bool = False,
        seed: int = 0,
    ) -> None:
        self._samplers = {sampler.sources[0].name: sampler for sampler in samplers}
        self._names = tuple(self._samplers)
        self._per_source = per_source
        self._repeated = repeated
        self._order = Stream(seed, "episode epochs", per_source, *self._names)

    @property
    def sources(self) -> tuple[TaskSource, ...]:
        return tuple(sampler.sources[0] for sampler in self._samplers.values())

    @property
    def episodes_per_epoch(self) -> int:
        return self._per_source * len(self._names)

    def __getitem__(self, index: int) -> EpisodePlan:
        epoch, place = divmod(index, self.episodes_per_epoch)
        # Number e of an epoch, before it is shuffled, is episode e // S of source e % S.
        number = int(_epoch_order(self._order, epoch, self.episodes_per_epoch)[place])
        own, source = divmod(number, len(self._names))
        if not self._repeated:
            own += epoch * self._per_source
        return replace(self._samplers[self._names[source]][own], index=index)

    def batch(self, indices: Iterable[int]) -> Sequence[EpisodePlan]:
        return [self[index] for index in indices]

    def source(self, name: str) -> TaskSource:
        return source_named(name, self.sources, "these episodes have")

    def __repr__(self) -> str:
        order = "repeated" if self._repeated else "new"
        return (
            f"EpisodeEpochs({len(self._names)} sources, per_source={self._per_source}, {order}"
            " episodes)"
        )


@lru_cache(maxsize=4)
def _epoch_order(order: Stream, epoch: int, length: int) -> Indices:
    return read_only(permutation(order, epoch, length).astype(np.int64))
