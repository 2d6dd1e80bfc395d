"""Full supervision: a backbone and a head trained on all of one task."""

from __future__ import annotations

from typing import Any, Unpack, final

from torch import Tensor, nn

from torchcross.algorithms._shared.draw_key import DrawKey
from torchcross.algorithms._shared.pretraining import HeadPerTask
from torchcross.algorithms.options import PretrainingOptions
from torchcross.targets.class_weights import check_class_weights, class_weighted_loss
from torchcross.task import Task


@final
class Supervised(HeadPerTask):
    """`Supervised(backbone, task)`: the reference that few-shot results are compared with.

    `predictor(task)` needs no support set. `class_weights` count the losses by class, under any
    loss: `balanced_weights(task.target, labels)` of `torchcross.targets` makes them.
    `PretrainingOptions` describes the other options.

    >>> from torchcross.algorithms import Supervised
    >>> from torchcross.backbones import conv4
    >>> from torchcross.data import toys
    >>> source = toys.binary(100, size=16)
    >>> learner = Supervised(conv4(8, in_channels=1), source.task)
    >>> batches = tx.MixedBatches([source], batch_size=16)
    >>> tx.fit(learner, batches, tx.FitOptions(steps=2, meta_batch=1), progress=False).steps
    2
    """

    def __init__(
        self,
        backbone: nn.Module,
        task: Task,
        *,
        class_weights: Tensor | None = None,
        **options: Unpack[PretrainingOptions],
    ) -> None:
        super().__init__(backbone, [task], **options)
        if class_weights is not None:
            check_class_weights(task.target, class_weights)
        self.class_weights = class_weights

    def _loss_of_logits(self, task: Task, logits: Tensor, labels: Tensor) -> Tensor:
        if self.class_weights is None:
            return super()._loss_of_logits(task, logits, labels)
        return class_weighted_loss(task.target, logits, labels, self.class_weights)

    def _loss_factor(self, task: Task, key: DrawKey) -> float:
        return 1.0

    def protocol(self) -> dict[str, Any]:
        (task,) = self.tasks
        weights = self.class_weights
        return {
            "algorithm": "Supervised",
            "task": f"{task.domain}/{task.name}",
            **({} if weights is None else {"class_weights": weights.tolist()}),
            **self._heads_protocol(),
            **self.common_protocol(),
        }
