"""A row of a run as an algorithm: it adapts as it did when the run scored it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

from torchcross.algorithms import Algorithm, Predictor, Step
from torchcross.episode import Batch, Episode
from torchcross.functional.network.plain_copy import depends_on_batch
from torchcross.task import Task


@final
class RowAlgorithm(Algorithm):
    """The trained algorithm of a row, with the inner steps and the seed that the row has.

    `algorithm` is the one that it wraps. `adapt(..., index=N)` predicts what the row predicted in
    episode N: random heads and masks belong to (seed, index). `origin` says what the row was
    trained without and by which seed, if that matters: "trained without oct, seed 0".
    """

    def __init__(
        self,
        algorithm: Algorithm,
        *,
        row: str,
        target: str,
        seed: int,
        steps: int | None,
        origin: str = "",
    ) -> None:
        super().__init__()
        self.algorithm, self.backbone = algorithm, algorithm.backbone
        self.row, self.target, self.seed, self.steps = row, target, seed, steps
        self.origin = origin

    @property
    def network(self) -> Any:
        """The network of the algorithm, as `torchcross.functional.Network`."""
        return self.algorithm.network

    @property
    def is_sequential(self) -> bool:
        return self.algorithm.is_sequential

    @property
    def is_transductive(self) -> bool:
        """Whether the prediction of an image depends on the images beside it."""
        network = getattr(self.algorithm, "network", None)
        return network is not None and depends_on_batch(network.module, network.policy)

    def training_step(
        self,
        episodes: Sequence[Episode],
        *,
        epoch: int | None = None,
        seed: int = 0,
        indices: Sequence[int] | None = None,
    ) -> Step:
        return self.algorithm.training_step(episodes, epoch=epoch, seed=seed, indices=indices)

    def adapt(
        self,
        support: Batch,
        task: Task,
        *,
        steps: int | None = None,
        seed: int | None = None,
        index: int = 0,
    ) -> Predictor:
        """A predictor from a support set; `steps` and `seed` are those of the row unless given."""
        steps = self.steps if steps is None else steps
        seed = self.seed if seed is None else seed
        return self.algorithm.adapt(support, task, steps=steps, seed=seed, index=index)

    def remark(self, support: Batch, task: Task) -> str:
        return self.algorithm.remark(support, task)

    def protocol(self) -> dict[str, Any]:
        return self.algorithm.protocol()
