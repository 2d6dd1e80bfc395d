"""What a step trains on: a function of the step's number, so a checkpoint need not hold it."""

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
from torchcross.data.loading.loader import is_plan_source
from torchcross.errors import InputError, ReadError, TorchcrossError
from torchcross.training.signals import start_shielded

Transform = Callable[[Tensor], Tensor]
_ALONE = "read without them, with workers=0 (in an experiment: machine.workers=0)"
_DEATHS = (
    "DataLoader worker (pid",
    "unable to open shared memory",
    "unable to allocate shared memory",
    "unable to write to file",
)


class Feed(ABC):
    """Numbered items: episodes, or labelled batches. Derive from it for items of your own."""

    @abstractmethod
    def read(self, start: int, stop: int, *, rank: int = 0, ranks: int = 1) -> Iterator[Any]:
        """The items start + rank, start + rank + ranks, ... below stop: the same in each call."""

    @abstractmethod
    def fingerprint(self, count: int) -> str:
        """A digest of the first `count` items: a run does not go on with other items."""


def feed_of(
    algorithm: Algorithm | Pretraining,
    data: Any,
    *,
    workers: int,
    transform: Transform | None,
    pin_memory: bool,
) -> Feed:
    """The items of a sampler, of `Episodes` or of `MixedBatches`; a feed stays as it is."""
    if isinstance(data, Feed):
        if transform is not None or workers:
            raise InputError("a Feed reads by itself; leave transform and workers out.")
        return data
    from_batches = isinstance(algorithm, Pretraining)
    if from_batches != isinstance(data, MixedBatches):
        wanted = "MixedBatches(sources)" if from_batches else "EpisodeSampler(sources)"
        raise InputError(
            f"{type(algorithm).__name__} does not learn from a {type(data).__name__}; give it"
            f" {wanted}."
        )
    if not from_batches and not (isinstance(data, Episodes) or is_plan_source(data)):
        raise InputError(
            f"{type(algorithm).__name__} learns from episodes, and fit got"
            f" {type(data).__name__}; give a sampler: EpisodeSampler(source), with one source or a"
            " list of them"
        )
    augment = None
    if isinstance(data, Episodes):
        if transform is not None and data.transform is not None:
            raise InputError("both the Episodes and fit have a transform; give one.")
        transform = data.transform if transform is None else transform
        augment, data = data.augment, data.sampler
    options: dict[str, Any] = {"workers": workers, "transform": transform, "pin_memory": pin_memory}
    if augment is not None:
        options["augment"] = augment
    return _LoaderFeed(data, MixedBatchLoader if from_batches else EpisodeLoader, options)


def start_reading(read: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """The items of `read()`; processes that it starts see no Ctrl-C."""
    try:
        return start_shielded(read)
    except OSError as error:
        raise ReadError(
            f"processes that read ahead cannot be started ({error.strerror or error}); {_ALONE}"
        ) from error


def worker_death(error: RuntimeError) -> str:
    """What torch's error of a process that died means; "" for every other error."""
    if isinstance(error, TorchcrossError) or not any(text in str(error) for text in _DEATHS):
        return ""
    line = next(line for line in str(error).splitlines() if any(text in line for text in _DEATHS))
    return (
        f"a process that read ahead has died ({line.strip()}): something ended it, or memory ran"
        f" out, often the shared memory in /dev/shm. Run the same again to go on; or {_ALONE}"
    )


@final
class _LoaderFeed(Feed):
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
