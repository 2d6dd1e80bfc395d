"""Which source an episode or a batch comes from: as reproducible as a single source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import accumulate
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.randomness import Stream
from torchcross.data.sources.source import TaskSource
from torchcross.errors import InputError, SourceError

Weights = Literal["uniform", "size"] | Sequence[float] | NDArray[np.floating[Any] | np.integer[Any]]


class SourceChoice:
    """Draws a source for every index, with exact probabilities: word i below a threshold.

    weights="size": in proportion to |D_t|, the samples of a source with at least one known label.
    """

    def __init__(
        self, sources: Sequence[TaskSource], weights: Weights, seed: int, purpose: str
    ) -> None:
        names = [source.name for source in sources]
        shares = dict(zip(names, _shares(sources, weights), strict=True))
        shares = {name: share for name, share in shares.items() if share}
        self.names = list(shares)
        *ends, total = accumulate(shares.values())
        self._ends = np.array([int(end / total * 2**64) for end in ends], dtype=np.uint64)
        self._stream = Stream(seed, purpose, *self.names, *map(str, shares.values()))

    def positions(self, start: int, count: int) -> NDArray[np.int64]:
        """The sources of `count` consecutive indices, as positions."""
        block, skip = divmod(start, 4)
        words = self._stream.window(block, skip + count)[skip:]
        return np.searchsorted(self._ends, words, side="right")

    def position(self, name: str) -> int:
        """Where a source stands among those that can be drawn; -1 for one of weight zero."""
        return self.names.index(name) if name in self.names else -1

    def source(self, index: int) -> str:
        return self.names[int(self.positions(index, 1)[0])]

    def sources(self, indices: range) -> list[str]:
        positions = self.positions(indices.start, len(indices))
        return [self.names[position] for position in positions.tolist()]


def labelled_samples(source: TaskSource) -> Indices:
    """Samples with at least one known label: the data set D_t whose size |D_t| weighs a source."""
    known = source.labels >= 0
    samples = np.flatnonzero(known if known.ndim == 1 else known.any(axis=1))
    if len(samples) == 0:
        raise SourceError(
            f"source {source.name!r} has no labelled sample; nothing can be learned from it"
        )
    return read_only(samples)


def _shares(sources: Sequence[TaskSource], weights: Weights) -> list[Fraction]:
    if isinstance(weights, str):
        if weights == "uniform":
            return [Fraction(1)] * len(sources)
        if weights == "size":
            return [Fraction(len(labelled_samples(source))) for source in sources]
        raise InputError(f"weights={weights!r} is not 'uniform', 'size' or one weight per source")
    values = list(weights) if isinstance(weights, Iterable) else []
    if len(values) != len(sources):
        raise InputError(
            f"weights={weights!r} is not 'uniform', 'size' or one weight for each of {len(sources)}"
            " sources"
        )
    for weight, source in zip(values, sources, strict=True):
        if not isinstance(weight, int | float | np.number) or not np.isfinite(weight) or weight < 0:
            raise InputError(
                f"weights gives source {source.name!r} the weight {weight!r}; weights are finite"
                " and not negative"
            )
    if not any(values):
        raise InputError(f"weights={values!r} gives every source the weight 0")
    return [Fraction(float(weight)) for weight in values]
