"""Several exclusive classes without an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from torchcross import losses
from torchcross.targets.classes import normalise_classes
from torchcross.targets.objective import Objective
from torchcross.targets.objective_parts import (
    WithoutTarget,
    identity,
    log_odds,
    most_likely,
    output_per_class,
)
from torchcross.targets.padding import ABSENT_CLASSES
from torchcross.targets.single_label import METRICS_OF_CLASSES, SingleLabelTarget


@final
@dataclass(frozen=True, init=False, repr=False)
class MultiClass(SingleLabelTarget):
    """`MultiClass(["disc", "square", "star"])`, or a mapping from label value to name.

    >>> from torchcross.targets import MultiClass
    >>> target = MultiClass(["disc", "square", "star"])
    >>> target.predict(torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 3.0]])).decisions
    tensor([0, 2])
    """

    kind = "multiclass"
    default_loss = "cross_entropy"
    objectives = {
        "cross_entropy": Objective(
            loss=WithoutTarget(losses.cross_entropy),
            layout=output_per_class,
            probabilities=losses.softmax,
            decisions=most_likely,
            from_scores=identity,
            options=frozenset({"class_weights", "smoothing"}),
            log_odds=log_odds,
            padding=ABSENT_CLASSES,
        )
    }
    metrics = METRICS_OF_CLASSES
    default_metrics = ("auroc", "average_precision", "accuracy", "balanced_accuracy", "f1")

    def __init__(
        self,
        classes: Sequence[str] | Mapping[int, str],
        *,
        missing: object = (),
        loss: str | None = None,
        **loss_options: Any,
    ) -> None:
        names, values = normalise_classes("MultiClass", classes, fewest=2)
        self.check_and_fill(names, values, missing, loss, loss_options)

    def regression_codes(self) -> Float[Tensor, "{self.num_classes} {self.num_classes}"]:
        return torch.eye(self.num_classes)
