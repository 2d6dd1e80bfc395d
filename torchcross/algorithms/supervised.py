"""Full supervision: a backbone and a head trained on all of one task."""

from __future__ import annotations

from typing import Any, final

from torch import nn

from torchcross.algorithms._shared.input_normalisation import MeanAndStd
from torchcross.algorithms._shared.pretraining import HeadPerTask
from torchcross.task import Task

__all__ = ["Supervised"]


@final
class Supervised(HeadPerTask):
    """`Supervised(backbone, task)`: what few-shot results are held against. `predictor(task)` needs
    no support set.
    """

    def __init__(
        self,
        backbone: nn.Module,
        task: Task,
        *,
        features: int | None = None,
        seed: int = 0,
        normalise: MeanAndStd | None = None,
    ) -> None:
        super().__init__(backbone, [task], features=features, seed=seed, normalise=normalise)

    def _factor(self, task: Task) -> float:
        return 1.0

    def protocol(self) -> dict[str, Any]:
        task = self.tasks[0]
        return {
            "algorithm": "Supervised",
            "task": f"{task.domain}/{task.name}",
            **self._common_protocol(),
        }
