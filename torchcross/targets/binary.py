"""Two classes, one logit: the second class is the positive one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from torchcross import losses, metrics
from torchcross.errors import TargetError
from torchcross.targets._classes import normalise_classes
from torchcross.targets._partition import SingleLabelTarget
from torchcross.targets.head import HeadLayout
from torchcross.targets.objective import Objective

__all__ = ["Binary"]


def _objective(loss: Any, *options: str) -> Objective:
    return Objective(
        loss=lambda logits, labels, target, **given: loss(logits, labels, **given),
        layout=lambda classes: HeadLayout("linear", 1),
        probabilities=lambda logits: torch.cat([torch.sigmoid(-logits), torch.sigmoid(logits)], dim=-1),
        decisions=lambda logits: (logits[..., 0] > 0).long(),
        from_scores=lambda scores: scores[..., 1:] - scores[..., :1],
        options=frozenset(options),
    )


@final
@dataclass(frozen=True, init=False, repr=False)
class Binary(SingleLabelTarget):
    """A yes/no question: `Binary(["benign", "malignant"])`, by label value `Binary({2: "benign", 7: "malignant"})`."""

    kind = "binary"
    default_loss = "cross_entropy"
    objectives = {
        "cross_entropy": _objective(losses.binary_cross_entropy, "class_weights", "smoothing"),
        "focal": _objective(losses.binary_focal, "gamma", "alpha"),
    }
    metrics = {
        "auroc": lambda target, p, y: metrics.binary_auroc(p.probabilities[:, 1], y, target.classes),
        "average_precision": lambda target, p, y: metrics.binary_average_precision(
            p.probabilities[:, 1], y, target.classes
        ),
        "accuracy": lambda target, p, y: metrics.accuracy(p.decisions, y),
        "balanced_accuracy": lambda target, p, y: metrics.balanced_accuracy(p.decisions, y, target.classes),
        "f1": lambda target, p, y: metrics.binary_f1(p.decisions, y, target.classes),
    }
    default_metrics = ("auroc", "average_precision", "accuracy", "balanced_accuracy", "f1")

    def __init__(
        self,
        classes: Sequence[str] | Mapping[int, str] = ("negative", "positive"),
        *,
        missing: object = (),
        loss: str | None = None,
        **loss_options: Any,
    ) -> None:
        names, values = normalise_classes("Binary", classes, fewest=2)
        if len(names) != 2:
            raise TargetError(f"Binary got {len(names)} classes, {list(names)}; it takes two, use MultiClass for more")
        self._set(names, values, missing, loss, loss_options)

    def regression_codes(self) -> Float[Tensor, "2 1"]:
        return torch.tensor([[-1.0], [1.0]])
