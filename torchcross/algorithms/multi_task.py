"""Multi-task pre-training (mm-PT, Algorithm 1 of the MedIMeta paper, Woerner et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Unpack, final

from torch import nn

from torchcross._kit.argument_checks import as_int
from torchcross.algorithms._shared.draw_key import DrawKey
from torchcross.algorithms._shared.pretraining import HeadPerTask
from torchcross.algorithms.options import PretrainingOptions
from torchcross.errors import InputError
from torchcross.task import Task


@final
class MultiTask(HeadPerTask):
    """`MultiTask(backbone, [source.task for source in sources])`: one linear head per task.

    batches      the number of batches that each task has: losses are scaled by (largest / own)
    scaled_from  the number of the first batch whose loss is scaled. As published, the first epoch
                 is without: `MixedBatches(...).batches_per_epoch`

    Each batch is of one task. `PretrainingOptions` describes the other options.
    """

    def __init__(
        self,
        backbone: nn.Module,
        tasks: Iterable[Task],
        *,
        batches: Sequence[int] | None = None,
        scaled_from: int = 0,
        **options: Unpack[PretrainingOptions],
    ) -> None:
        super().__init__(backbone, tasks, **options)
        self.scaled = batches is not None
        self.scaled_from = as_int("scaled_from", scaled_from, least=0)
        if scaled_from and not self.scaled:
            raise InputError(
                f"MultiTask got scaled_from={scaled_from} without batches=, so no loss is scaled;"
                " give both."
            )
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

    def _loss_factor(self, task: Task, key: DrawKey) -> float:
        if self.scaled_from and key.number_for("the scale of its loss") < self.scaled_from:
            return 1.0
        return self._loss_factors[task.domain, task.name]

    def _scaling(self) -> str:
        if not self.scaled:
            return "no"
        begin = f", from batch {self.scaled_from} on" if self.scaled_from else ""
        return f"by largest / own number of batches{begin}"

    def protocol(self) -> dict[str, Any]:
        return {
            "algorithm": "MultiTask",
            "tasks": [f"{task.domain}/{task.name}" for task in self.tasks],
            "loss_scaled": self._scaling(),
            **self._heads_protocol(),
            **self.common_protocol(),
        }
