"""What every algorithm answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from torchcross.algorithms.predictor import Predictor
from torchcross.episode import Batch, Episode
from torchcross.task import Task

__all__ = ["Algorithm", "Labelled", "Pretraining", "Step", "TaskBatch"]


@dataclass(frozen=True, eq=False)
class Step:
    """What one training step needs: nothing was changed yet.

    loss      a scalar for `.backward()`
    losses    of the episodes or batches, detached, in their order
    buffers   new values by the names of `algorithm.named_buffers()`, for the training loop to
              commit
    groups    which episodes ran together in lanes
    engine    how the gradient was taken, and `order` of it
    traces    for each episode the support loss before each inner step, then the query loss
    residuals of conjugate gradients, relative, one for each episode, where the engine has them
    (iMAML); near 1 the
              meta-gradient is not solved: take more `iterations` or a larger `strength`
    """

    loss: Tensor
    losses: Tensor
    buffers: dict[str, Tensor]
    engine: str
    order: int
    groups: tuple[tuple[int, ...], ...] = ()
    traces: tuple[Tensor, ...] = field(default=())
    residuals: Tensor | None = None


class Algorithm(nn.Module, ABC):
    """Learns from episodes, and turns a support set into a predictor. An `nn.Module`: any
    optimiser, any device.

    Both ways are pure: no parameter, buffer, mode or global random state changes. Random heads and
    dropout masks belong to (seed, number of the episode): its plan's, or `indices` where episodes
    have no plan.
    """

    backbone: nn.Module

    @abstractmethod
    def training_step(
        self,
        episodes: Sequence[Episode],
        *,
        epoch: int | None = None,
        seed: int = 0,
        indices: Sequence[int] | None = None,
    ) -> Step:
        """The loss of a meta-batch, with one episode's graph alive at a time, and what came with
        it.

        Episodes may differ in task, number of classes and target type. `epoch` is asked for where
        something is annealed.
        """

    def meta_loss(
        self,
        episodes: Sequence[Episode],
        *,
        epoch: int | None = None,
        seed: int = 0,
        indices: Sequence[int] | None = None,
    ) -> Tensor:
        """The scalar of `training_step`: the mean query loss, ready for one `.backward()`."""
        return self.training_step(episodes, epoch=epoch, seed=seed, indices=indices).loss

    @abstractmethod
    def adapt(
        self, support: Batch, task: Task, *, steps: int | None = None, seed: int = 0, index: int = 0
    ) -> Predictor:
        """A predictor from a support set; `steps` other than in training, if given."""

    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """How it trains and adapts, as plain values for a report."""


class Labelled(Protocol):
    """One batch of one task, such as `torchcross.data.LabelledBatch`."""

    @property
    def batch(self) -> Batch: ...

    @property
    def task(self) -> Task: ...


@dataclass(frozen=True, eq=False, slots=True)
class TaskBatch:
    """A batch and its task, for those who read their data themselves."""

    batch: Batch
    task: Task


class Pretraining(nn.Module, ABC):
    """Learns from batches with a head for each task. Hand its `backbone` to `FineTune` or
    `LinearProbe` to adapt it.
    """

    backbone: nn.Module

    @abstractmethod
    def training_step(
        self, batches: Sequence[Labelled], *, seed: int = 0, indices: Sequence[int] | None = None
    ) -> Step:
        """The mean loss over the batches, and the buffers' new values. `indices` number the batches
        for dropout.
        """

    def loss(
        self, batches: Sequence[Labelled], *, seed: int = 0, indices: Sequence[int] | None = None
    ) -> Tensor:
        """The scalar of `training_step`."""
        return self.training_step(batches, seed=seed, indices=indices).loss

    @abstractmethod
    def predictor(self, task: Task) -> Predictor:
        """A predictor for one of its own tasks, with running statistics."""

    @abstractmethod
    def protocol(self) -> dict[str, Any]:
        """How it trains, as plain values for a report."""
