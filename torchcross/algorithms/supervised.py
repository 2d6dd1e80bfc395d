"""Full supervision: a backbone and a head trained on all of one task."""

from __future__ import annotations

from typing import Any, Unpack, final

from torch import nn

from torchcross.algorithms._shared.draw_key import DrawKey
from torchcross.algorithms._shared.pretraining import HeadPerTask
from torchcross.algorithms.options import PretrainingOptions
from torchcross.task import Task


@final
class Supervised(HeadPerTask):
    """`Supervised(backbone, task)`: the reference that few-shot results are compared with.

    `predictor(task)` needs no support set. `PretrainingOptions` describes the options.
    """

    def __init__(
        self, backbone: nn.Module, task: Task, **options: Unpack[PretrainingOptions]
    ) -> None:
        super().__init__(backbone, [task], **options)

    def _loss_factor(self, task: Task, key: DrawKey) -> float:
        return 1.0

    def protocol(self) -> dict[str, Any]:
        (task,) = self.tasks
        return {
            "algorithm": "Supervised",
            "task": f"{task.domain}/{task.name}",
            **self._heads_protocol(),
            **self._common_protocol(),
        }
