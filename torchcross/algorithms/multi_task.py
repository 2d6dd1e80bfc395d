"""Multi-task pre-training (mm-PT, Algorithm 1 of the MedIMeta paper, Woerner et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, final

from torch import nn

from torchcross.algorithms._shared.input_normalisation import MeanAndStd
from torchcross.algorithms._shared.pretraining import HeadPerTask
from torchcross.errors import InputError
from torchcross.task import Task

__all__ = ["MultiTask"]


@final
class MultiTask(HeadPerTask):
    """`MultiTask(backbone, [source.task for source in sources])`: one linear head per task, a batch
    of one task at a time.

    `batches`, the number of batches that each task has, scales losses by (largest / own), as the
    published rows do.
    """

    def __init__(
        self,
        backbone: nn.Module,
        tasks: Iterable[Task],
        *,
        batches: Sequence[int] | None = None,
        features: int | None = None,
        seed: int = 0,
        normalise: MeanAndStd | None = None,
    ) -> None:
        super().__init__(backbone, tasks, features=features, seed=seed, normalise=normalise)
        if batches is not None and (len(batches) != len(self.tasks) or min(batches) < 1):
            raise InputError(
                f"MultiTask got batches={list(batches)} for {len(self.tasks)} tasks; give one"
                " number of 1 or more for each."
            )
        counts = [1] * len(self.tasks) if batches is None else list(batches)
        self._factors = {
            (task.domain, task.name): max(counts) / own
            for task, own in zip(self.tasks, counts, strict=True)
        }
        self.scaled = batches is not None

    def _factor(self, task: Task) -> float:
        return self._factors[task.domain, task.name]

    def protocol(self) -> dict[str, Any]:
        tasks = [f"{task.domain}/{task.name}" for task in self.tasks]
        scaled = "by largest / own number of batches" if self.scaled else "no"
        return {
            "algorithm": "MultiTask",
            "tasks": tasks,
            "loss_scaled": scaled,
            **self._common_protocol(),
        }
