"""From plans to tensors: reads what plans name, and chooses nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, Generic, Protocol, TypeVar, overload

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from torchcross._kit.argument_checks import as_int
from torchcross.data.loading.batches import BatchPlan, LabelledBatch, MixedBatches
from torchcross.data.loading.episode_slice import EpisodeSlice, episode_number, numbers_of_slice
from torchcross.data.sources.source import TaskSource
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError, ReadError
from torchcross.plan import EpisodePlan

Item = TypeVar("Item")
Transform = Callable[[Tensor], Tensor]
Augment = Callable[[Episode], Episode]


class PlanSource(Protocol):
    """Plans by index: a sampler, or plans loaded from a file.

    >>> from torchcross.data import PlanSource, toys
    >>> def images_of(plans: PlanSource, count: int) -> int:
    ...     return sum(len(plan.support) + len(plan.query) for plan in plans.batch(range(count)))
    ...
    >>> images_of(tx.EpisodeSampler(toys.binary(60, size=8), shots=1, queries=2), 10)
    60
    """

    def __getitem__(self, index: int, /) -> EpisodePlan: ...
    def batch(self, indices: Any, /) -> Sequence[EpisodePlan]: ...
    def source(self, name: str, /) -> TaskSource: ...


def is_plan_source(data: object) -> bool:
    """Whether it gives plans by index; a task source does not."""
    return all(hasattr(data, name) for name in ("__getitem__", "batch", "source"))


class Episodes(Dataset[Episode]):
    """`Episodes(sampler)[i]` is episode i as tensors: support and query come from one read.

    `episodes[10:20]` is a sequence of ten of them, each read when it is used. Where there is a last
    episode, a negative index counts from the end.
    `transform` maps a batch of images (n, ...) to another; it sees support and query separately.
    `augment` then maps whole episodes, such as an `Augmentation`.
    `count` gives a length, so that it can be iterated as an ordinary Dataset.

    >>> from torchcross.data import toys
    >>> episodes = tx.Episodes(tx.EpisodeSampler(toys.binary(100, size=8), shots=2, queries=3))
    >>> episode = episodes[17]
    >>> episode.support.x.shape, episode.query.y.shape
    (torch.Size([4, 1, 8, 8]), torch.Size([6]))
    """

    def __init__(
        self,
        sampler: PlanSource,
        count: int | None = None,
        *,
        transform: Transform | None = None,
        augment: Augment | None = None,
    ) -> None:
        if not is_plan_source(sampler):
            raise InputError(
                f"episodes come from a sampler, not from a {type(sampler).__name__}; for a source,"
                " write EpisodeSampler(source)"
            )
        self.sampler = sampler
        self.count = None if count is None else as_int("count", count)
        self.transform = transform
        self.augment = augment

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> EpisodeSlice: ...
    def __getitem__(self, index: int | slice) -> Episode | EpisodeSlice:
        if isinstance(index, slice):
            return EpisodeSlice(self, numbers_of_slice(index, self._length))
        return self.read(self.sampler[episode_number(index, self._length)])

    @property
    def _length(self) -> int | None:
        """None where there is no last episode."""
        try:
            return len(self)
        except TypeError:
            return None

    def __getitems__(self, indices: Sequence[int]) -> list[Episode]:
        if len(indices):
            # A sampler plans a range several times as fast as a list.
            first, last = indices[0], indices[-1]
            if last - first + 1 == len(indices) and list(range(first, last + 1)) == list(indices):
                indices = range(first, last + 1)
        return [self.read(plan) for plan in self.sampler.batch(indices)]

    def read(self, plan: EpisodePlan) -> Episode:
        """The episode of any plan over these sources, e.g. one of a shot curve."""
        source = self.sampler.source(plan.source)
        try:
            images = source.read(np.concatenate([plan.support, plan.query]))
        except ReadError as error:
            raise ReadError(f"episode {plan.index}: {error}") from error
        support, query = images[: len(plan.support)], images[len(plan.support) :]
        episode = Episode(
            Batch(support, torch.from_numpy(plan.support_labels.copy())),
            Batch(query, torch.from_numpy(plan.query_labels.copy())),
            source.task.restrict(plan.classes),
            plan,
        )
        if self.transform is not None:
            episode = episode.map(self.transform)
        return episode if self.augment is None else self.augment(episode)

    def __len__(self) -> int:
        if self.count is not None:
            return self.count
        return len(self.sampler)  # type: ignore[arg-type]  # Sized where finite

    def __repr__(self) -> str:
        count = "" if self.count is None else f", {self.count}"
        return f"Episodes({self.sampler!r}{count})"

    def __iter__(self) -> Iterator[Episode]:
        return (self[index] for index in range(len(self)))


class _ChunkLoader(Generic[Item]):
    """The items of a dataset in order; workers read lists of consecutive ones."""

    def __init__(
        self,
        dataset: Dataset[Item],
        indices: range,
        chunk: int,
        workers: int,
        pin_memory: bool,
        context: str | None,
    ) -> None:
        as_int("chunk", chunk)
        as_int("workers", workers, least=0)
        self._length = len(indices)
        self._loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=_Chunks(indices, chunk),
            collate_fn=_keep_list,
            num_workers=workers,
            pin_memory=pin_memory,
            multiprocessing_context=context if workers else None,
            # Without one of its own, a DataLoader draws from the global generator.
            generator=torch.Generator(),
        )

    def __iter__(self) -> Iterator[Item]:
        # No generator: workers start now, and not with the first item.
        return chain.from_iterable(iter(self._loader))

    def __len__(self) -> int:
        return self._length


class EpisodeLoader(_ChunkLoader[Episode]):
    """Episodes start..stop-1 in order, read ahead by workers and divided over ranks.

    Without `stop` it goes to the end of a finite sampler. Rank r of R gets the episodes r, r + R, r
    + 2R, ... of the range: none twice, none lost, whatever the number of workers. To resume, start
    where you stopped. No global random state is read or moved.

    >>> from torchcross.data import toys
    >>> sampler = tx.EpisodeSampler(toys.binary(100, size=8), shots=2, queries=3)
    >>> [episode.plan.index for episode in tx.EpisodeLoader(sampler, 8, rank=1, ranks=2)]
    [1, 3, 5, 7]
    """

    def __init__(
        self,
        sampler: PlanSource,
        stop: int | None = None,
        *,
        start: int = 0,
        rank: int = 0,
        ranks: int = 1,
        workers: int = 0,
        chunk: int = 4,
        transform: Transform | None = None,
        augment: Augment | None = None,
        pin_memory: bool = False,
        context: str | None = None,
    ) -> None:
        self.episodes = Episodes(sampler, transform=transform, augment=augment)
        self.indices = _share(start, _end(sampler, stop), rank, ranks)
        super().__init__(self.episodes, self.indices, chunk, workers, pin_memory, context)


class MixedBatchLoader(_ChunkLoader[LabelledBatch]):
    """Batches start..stop-1 of `MixedBatches`, loaded as `EpisodeLoader` loads episodes."""

    def __init__(
        self,
        batches: MixedBatches,
        stop: int,
        *,
        start: int = 0,
        rank: int = 0,
        ranks: int = 1,
        workers: int = 0,
        transform: Transform | None = None,
        pin_memory: bool = False,
        context: str | None = None,
    ) -> None:
        self.indices = _share(start, stop, rank, ranks)
        dataset = _BatchDataset(batches, transform)
        super().__init__(dataset, self.indices, 1, workers, pin_memory, context)


class _BatchDataset(Dataset[LabelledBatch]):
    def __init__(self, batches: MixedBatches, transform: Transform | None) -> None:
        self.batches = batches
        self.transform = transform

    def __getitem__(self, index: int) -> LabelledBatch:
        plan: BatchPlan = self.batches[index]
        batch = self.batches.read(plan)
        return batch if self.transform is None else batch.map(self.transform)


def _end(sampler: PlanSource, stop: int | None) -> int:
    """Where to stop: at `stop`, which is not beyond the end of a finite sampler."""
    try:
        length = len(sampler)  # type: ignore[arg-type]  # Sized where finite
    except TypeError:
        if stop is None:
            raise InputError(
                "this sampler never ends; say where to stop: EpisodeLoader(sampler, 1000)"
            ) from None
        return stop
    if stop is not None and stop > length:
        raise InputError(f"stop={stop} is beyond the {length} episodes there are")
    return length if stop is None else stop


def _share(start: int, stop: int, rank: int, ranks: int) -> range:
    """The numbers start..stop-1 that are one rank's."""
    as_int("stop", stop, least=0)
    if as_int("start", start, least=0) > stop:
        raise InputError(f"start={start} is beyond stop={stop}")
    as_int("ranks", ranks)
    if as_int("rank", rank, least=0) >= ranks:
        raise InputError(f"rank={rank} is not below ranks={ranks}")
    return range(start + rank, stop, ranks)


class _Chunks(Sampler[list[int]]):
    """Lists of consecutive items, made as they are needed."""

    def __init__(self, indices: range, chunk: int) -> None:
        self.indices = indices
        self.chunk = chunk

    def __iter__(self) -> Iterator[list[int]]:
        return (
            list(self.indices[first : first + self.chunk])
            for first in range(0, len(self.indices), self.chunk)
        )

    def __len__(self) -> int:
        return -(-len(self.indices) // self.chunk)


def _keep_list(items: list[Any]) -> list[Any]:
    return items
