"""What every algorithm offers: a training step, an adaptation, a protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from torchcross.algorithms.predictor import Predictor
from torchcross.episode import Batch, Episode
from torchcross.task import Task


@dataclass(frozen=True, eq=False)
class Step:
    """The result of one training step. Nothing was changed yet.

    loss       a scalar for `.backward()`
    losses     of the episodes or batches, detached, in their order
    buffers    new values by the names of `algorithm.named_buffers()`, for the training loop to
               commit
    engine     how the gradient was computed, and `order` of it
    groups     which episodes ran together in lanes
    traces     for each episode the support loss before each inner step, then the query loss
    residuals  of conjugate gradients, relative, one for each episode, where the engine has them
               (iMAML); near 1 the meta-gradient is not solved: take more `iterations` or a larger
               `strength`
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
    """Learns from episodes, and turns a support set into a predictor.

    It is an `nn.Module`, for any optimiser and any device. Training steps and adaptation are pure:
    no parameter, buffer, mode or global random state changes. Random heads and dropout masks belong
    to (seed, number of the episode): the number of its plan, or of `indices` where episodes have no
    plan.
    """

    backbone: nn.Module

    @property
    def is_sequential(self) -> bool:
        """Whether an episode of a step depends on those before it, so that no step can be shared.

        Ranks cannot take some of its episodes each.
        """
        return False

    @abstractmethod
    def training_step(
        self,
        episodes: Sequence[Episode],
        *,
        epoch: int | None = None,
        seed: int = 0,
        indices: Sequence[int] | None = None,
    ) -> Step:
        """The loss of a meta-batch and its by-products, with one episode's graph alive at a time.

        Episodes may differ in task, number of classes and target type. Give `epoch` if something
        is annealed.
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
        """A predictor from a support set; `steps` may differ from training."""

    def remark(self, support: Batch, task: Task) -> str:
        """What is other than `protocol` says in an adaptation to this support set; mostly "".

        `evaluate` puts it into the reasons of the episode's values.
        """
        return ""

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
    """A batch and its task, for code that reads its data itself.

    >>> from torchcross.algorithms import MultiTask, TaskBatch
    >>> from torchcross.data import toys
    >>> source = toys.binary(60, size=16)
    >>> images, labels = source.read(range(8)), torch.tensor(source.labels[:8])
    >>> pretraining = MultiTask(tx.backbones.conv4(4, in_channels=1), [source.task])
    >>> loss = pretraining.loss([TaskBatch(tx.Batch(images, labels), source.task)])
    >>> loss.shape
    torch.Size([])
    """

    batch: Batch
    task: Task


class Pretraining(nn.Module, ABC):
    """Learns from batches with a head for each task.

    Hand its `backbone` to `FineTune` or `LinearProbe` to adapt it.

    >>> from torchcross.algorithms import LinearProbe, MultiTask
    >>> from torchcross.data import toys
    >>> from torchcross.training import FitOptions, fit
    >>> source = toys.binary(60, size=16)
    >>> pretraining = MultiTask(tx.backbones.conv4(4, in_channels=1), [source.task])
    >>> batches = tx.MixedBatches([source], batch_size=8, seed=0)
    >>> fit(pretraining, batches, FitOptions(steps=1, meta_batch=1)).steps
    1
    >>> probe = LinearProbe(pretraining.backbone)
    """

    backbone: nn.Module

    @abstractmethod
    def training_step(
        self, batches: Sequence[Labelled], *, seed: int = 0, indices: Sequence[int] | None = None
    ) -> Step:
        """The mean loss over the batches, and the new values of buffers.

        `indices` number the batches for dropout.
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
