"""Batches for multi-task training: each from one source, reproducible and addressable by number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from torchcross._kit.argument_checks import as_int, check_choice
from torchcross._kit.arrays import Indices, read_only
from torchcross._kit.randomness import Stream, permutation
from torchcross.data.sampling.mixture import SourceChoice, Weights, labelled_samples
from torchcross.data.sampling.request import checked_seed
from torchcross.data.sampling.sampler import as_sources
from torchcross.data.sources.source import TaskSource, source_named
from torchcross.episode import Batch
from torchcross.errors import InputError, SourceError
from torchcross.task import Task

_COUNT_BLOCK = 4096


@dataclass(frozen=True, eq=False, slots=True)
class BatchPlan:
    """Batch number `index`: which samples of which source."""

    index: int
    source: str
    samples: Indices

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BatchPlan):
            return NotImplemented
        return (self.index, self.source) == (other.index, other.source) and np.array_equal(
            self.samples, other.samples
        )

    def __hash__(self) -> int:
        return hash((self.index, self.source, self.samples.tobytes()))

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (self.index, self.source, self.samples)


def _restore(index: int, source: str, samples: Indices) -> BatchPlan:
    """A plan out of its pickle, where arrays forget that they are read-only."""
    return BatchPlan(index, source, read_only(samples))


@dataclass(frozen=True, eq=False, slots=True)
class LabelledBatch:
    """One batch of one task, as tensors."""

    batch: Batch
    task: Task
    plan: BatchPlan

    def map(self, change: Callable[[Tensor], Tensor]) -> LabelledBatch:
        return replace(self, batch=self.batch.map(change))

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> LabelledBatch:
        return replace(self, batch=self.batch.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> LabelledBatch:
        return replace(self, batch=self.batch.pin_memory())


class MixedBatches:
    """`batches[b]` is batch b of multi-task training (mm-PT, Algorithm 1): a function of (seed, b).

    order="independent"  every batch draws its source with probability |D_t| / sum |D_i| (or by
                         `weights`); |D_t| counts the samples with at least one known label
    order="epoch"        the batches of one pass over every source stand in one shuffled row, then
                         in another; this draws a source in proportion to its *remaining* batches,
                         as the published code does

    In both, the samples of a source come in shuffled passes: none comes again before all have come.
    Samples without a label are left out.

    last_batch="drop"  the samples that make no full batch, others in every pass, are left out. A
                       source with fewer samples than `batch_size` is one batch of all of them
    last_batch="keep"  they are a smaller batch, but for a single one: it would have no variance in
                       BatchNorm, and is left out

    A source with one labelled sample is refused, unless `batch_size` is 1.

    >>> from torchcross.data import toys
    >>> sources = [toys.binary(64, size=8), toys.ordinal(64, size=8)]
    >>> batches = tx.MixedBatches(sources, batch_size=16)
    >>> batches[3].source, len(batches[3].samples)
    ('ink/specks', 16)
    """

    def __init__(
        self,
        sources: TaskSource | Iterable[TaskSource],
        *,
        batch_size: int = 64,
        seed: int = 0,
        order: Literal["independent", "epoch"] = "independent",
        weights: Weights = "size",
        last_batch: Literal["drop", "keep"] = "drop",
    ) -> None:
        self.sources = as_sources(sources)
        self.batch_size = as_int("batch_size", batch_size)
        self._seed = checked_seed(seed)
        check_choice("order", order, ("independent", "epoch"))
        check_choice("last_batch", last_batch, ("drop", "keep"))
        if order == "epoch" and not (isinstance(weights, str) and weights == "size"):
            raise InputError(
                f"weights={weights!r} has no use with order='epoch', where all batches of every"
                " source come; leave it out"
            )
        self.order, self.last_batch = order, last_batch
        self._usable = {source.name: labelled_samples(source) for source in self.sources}
        self._refuse_single_samples()
        self._per_pass = {
            name: _batches_in(len(usable), self.batch_size, last_batch)
            for name, usable in self._usable.items()
        }
        self._choice = SourceChoice(self.sources, weights, self.seed, "batches")
        self._shuffle = Stream(self.seed, "passes", self.batch_size)
        self._counts_before = {0: np.zeros(len(self._choice.names), dtype=np.int64)}

    def _refuse_single_samples(self) -> None:
        for name, usable in self._usable.items():
            if len(usable) == 1 < self.batch_size:
                raise SourceError(
                    f"source {name!r} has one labelled sample, and a batch of one has no variance"
                    " in BatchNorm; leave the source out, or give more samples"
                )

    @property
    def seed(self) -> int:
        """The seed of all batches; for another seed, make another `MixedBatches`."""
        return self._seed

    @property
    def batches_per_epoch(self) -> int:
        """Batches in one pass over every source."""
        return sum(self._per_pass.values())

    @property
    def batches_per_pass(self) -> Mapping[str, int]:
        """For each source, the batches in one pass over it."""
        return dict(self._per_pass)

    def __getitem__(self, index: int) -> BatchPlan:
        number = as_int("index", index, least=0)
        place_of = self._place_in_epochs if self.order == "epoch" else self._place_in_draws
        name, earlier = place_of(number)
        turn, place = divmod(earlier, self._per_pass[name])
        order = _pass_order(self._shuffle, name, turn, len(self._usable[name]))
        samples = order[place * self.batch_size : (place + 1) * self.batch_size]
        return BatchPlan(number, name, read_only(self._usable[name][samples]))

    def read(self, plan: BatchPlan) -> LabelledBatch:
        """The tensors of a plan, in one read."""
        source = self.source(plan.source)
        batch = Batch(source.read(plan.samples), source.targets(plan.samples))
        return LabelledBatch(batch, source.task, plan)

    def source(self, name: str) -> TaskSource:
        """The source a plan names."""
        return source_named(name, self.sources, "these batches have")

    def _place_in_draws(self, number: int) -> tuple[str, int]:
        """The source of a batch, and how many batches it had before; order="independent"."""
        # Counts of full blocks never change, so threads may fill them in at the same time.
        block, inside = divmod(number, _COUNT_BLOCK)
        before = self._counts_before
        for known in range(len(before) - 1, block):
            drawn = self._choice.positions(known * _COUNT_BLOCK, _COUNT_BLOCK)
            counts = np.bincount(drawn, minlength=len(self._choice.names))
            before[known + 1] = before[known] + counts
        positions = self._choice.positions(block * _COUNT_BLOCK, inside + 1)
        source = positions[-1]
        earlier = before[block][source] + (positions[:-1] == source).sum()
        return self._choice.names[source], int(earlier)

    def _place_in_epochs(self, number: int) -> tuple[str, int]:
        """The source of a batch, and how many batches it had before; order="epoch"."""
        epoch, place = divmod(number, self.batches_per_epoch)
        names = list(self._per_pass)
        row = _epoch_row(Stream(self.seed, "epochs", *names), epoch, tuple(self._per_pass.values()))
        name = names[row[place]]
        return name, epoch * self._per_pass[name] + int((row[:place] == row[place]).sum())

    def __repr__(self) -> str:
        last = ", last_batch='keep'" if self.last_batch == "keep" else ""
        return (
            f"MixedBatches({len(self.sources)} sources, batch_size={self.batch_size},"
            f" order={self.order!r}, seed={self.seed}{last})"
        )


def _batches_in(samples: int, batch_size: int, last_batch: str) -> int:
    full, rest = divmod(samples, batch_size)
    return max(full + (last_batch == "keep" and rest > 1), 1)


@lru_cache(maxsize=128)
def _pass_order(stream: Stream, name: str, turn: int, length: int) -> Indices:
    """The order of one source's samples in one of its passes, which serves many batches."""
    return read_only(permutation(stream.substream(name), turn, length))


@lru_cache(maxsize=8)
def _epoch_row(stream: Stream, epoch: int, batches: tuple[int, ...]) -> Indices:
    """Which source each batch of an epoch comes from."""
    row = np.repeat(np.arange(len(batches)), batches)
    return read_only(row[permutation(stream, epoch, len(row))])
