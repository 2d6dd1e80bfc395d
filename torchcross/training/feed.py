"""What a step trains on: a function of the step's number, so that there is nothing to save and
nothing to lose.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, final

import numpy as np
from torch import Tensor

from torchcross.algorithms import Algorithm, Pretraining
from torchcross.data import EpisodeLoader, Episodes, MixedBatches, MixedBatchLoader
from torchcross.errors import InputError

__all__ = ["Feed", "begun", "feed_of"]

Transform = Callable[[Tensor], Tensor]


class Feed(ABC):
    """Numbered items: episodes, or labelled batches for pre-training. Derive from it to bring your
    own.
    """

    @abstractmethod
    def read(self, start: int, stop: int, *, rank: int = 0, ranks: int = 1) -> Iterator[Any]:
        """The items start + rank, start + rank + ranks, ... below stop, the same whenever they are
        asked for.
        """

    @abstractmethod
    def fingerprint(self, count: int) -> str:
        """Of the first `count` items: a run that is resumed on others is refused."""


def feed_of(
    algorithm: Algorithm | Pretraining,
    data: Any,
    *,
    workers: int,
    transform: Transform | None,
    pin_memory: bool,
) -> Feed:
    """The items of a sampler, of `Episodes` or of `MixedBatches`; a feed is one already."""
    if isinstance(data, Feed):
        if transform is not None or workers:
            raise InputError("transform and workers are a feed's own business; leave them out.")
        return data
    mixed = isinstance(data, MixedBatches)
    if isinstance(algorithm, Pretraining) != mixed:
        wanted = (
            "MixedBatches(sources)"
            if isinstance(algorithm, Pretraining)
            else "EpisodeSampler(sources)"
        )
        raise InputError(
            f"{type(algorithm).__name__} does not learn from a {type(data).__name__}; give it"
            f" {wanted}."
        )
    if isinstance(data, Episodes):
        if transform is not None and data.transform is not None:
            raise InputError("both the Episodes and fit were given a transform; give one.")
        data, transform = data.sampler, data.transform if transform is None else transform
    options = {"workers": workers, "transform": transform, "pin_memory": pin_memory}
    return _Loaded(data, MixedBatchLoader if mixed else EpisodeLoader, options)


def begun(items: Iterator[Any]) -> Iterator[Any]:
    """The same items, with the first one read: worker processes are running now."""
    first = next(items)

    def all_of_them() -> Iterator[Any]:
        yield first
        yield from items

    return all_of_them()


@final
class _Loaded(Feed):
    def __init__(self, plans: Any, loader: Callable[..., Any], options: dict[str, Any]) -> None:
        self._plans = plans
        self._loader = loader
        self._options = options

    def read(self, start: int, stop: int, *, rank: int = 0, ranks: int = 1) -> Iterator[Any]:
        return iter(
            self._loader(self._plans, stop, start=start, rank=rank, ranks=ranks, **self._options)
        )

    def fingerprint(self, count: int) -> str:
        digest = hashlib.sha256()
        for index in range(count):
            for part in _parts(self._plans[index]):
                digest.update(part)
        return digest.hexdigest()


def _parts(plan: Any) -> Iterator[bytes]:
    for field in fields(plan):
        value = getattr(plan, field.name)
        yield value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
        yield b"\0"
