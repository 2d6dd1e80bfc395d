"""Multi-task pre-training (mm-PT, Algorithm 1 of the MedIMeta paper, Woerner et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Unpack, final

from torch import nn

from torchcross.algorithms._shared.pretraining import HeadPerTask
from torchcross.algorithms.options import PretrainingOptions
from torchcross.errors import InputError
from torchcross.task import Task


@final
class MultiTask(HeadPerTask):
    """`MultiTask(backbone, [source.task for source in sources])`: one linear head per task.

    Each batch is of one task. `batches`, the number of batches that each task has, scales losses by
    (largest / own), as published. `PretrainingOptions` describes the other options.
    """

    def __init__(
        self,
        backbone: nn.Module,
        tasks: Iterable[Task],
        *,
        batches: Sequence[int] | None = None,
        **options: Unpack[PretrainingOptions],
    ) -> None:
        super().__init__(backbone, tasks, **options)
        self.scaled = batches is not None
        counts = [1] * len(self.tasks) if batches is None else list(batches)
        if len(counts) != len(self.tasks) or any(count < 1 for count in counts):
            raise InputError(
                f"MultiTask got batches={counts} for {len(self.tasks)} tasks; give one number of 1"
                " or more for each."
            )
        self._loss_factors = {
            (task.domain, task.name): max(counts) / count
            for task, count in zip(self.tasks, counts, strict=True)
        }

    def _loss_factor(self, task: Task) -> float:
        return self._loss_factors[task.domain, task.name]

    def protocol(self) -> dict[str, Any]:
        return {
            "algorithm": "MultiTask",
            "tasks": [f"{task.domain}/{task.name}" for task in self.tasks],
            "loss_scaled": "by largest / own number of batches" if self.scaled else "no",
            **self._common_protocol(),
        }
