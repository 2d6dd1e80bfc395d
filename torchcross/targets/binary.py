"""Two classes, one logit: the second class is the positive one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from torchcross import losses, metrics
from torchcross.errors import TargetError
from torchcross.targets.classes import normalise_classes
from torchcross.targets.likelihood import Likelihood
from torchcross.targets.objective import Objective, Prediction
from torchcross.targets.objective_parts import WithoutTarget, one_output
from torchcross.targets.single_label import SingleLabelTarget


def _both_ways(logits: Float[Tensor, "N 1"]) -> Float[Tensor, "N 2"]:
    """The log-odds of the negative and of the positive class."""
    return torch.cat([-logits, logits], dim=-1)


def _probabilities(logits: Float[Tensor, "N 1"]) -> Float[Tensor, "N 2"]:
    return torch.sigmoid(_both_ways(logits))


def _decisions(logits: Float[Tensor, "N 1"]) -> Int64[Tensor, " N"]:
    return (logits[..., 0] > 0).long()


def _difference(scores: Float[Tensor, "N 2"]) -> Float[Tensor, "N 1"]:
    return scores[..., 1:] - scores[..., :1]


def _objective(loss: Callable[..., Tensor], *options: str) -> Objective:
    return Objective(
        loss=WithoutTarget(loss),
        layout=one_output,
        probabilities=_probabilities,
        decisions=_decisions,
        from_scores=_difference,
        options=frozenset(options),
        log_odds=_both_ways,
    )


def _ranking(prediction: Prediction) -> Float[Tensor, " N"]:
    """The scores of the positive class, by which samples are ranked."""
    scores = prediction.probabilities if prediction.scores is None else prediction.scores
    return scores[:, 1]


@final
@dataclass(frozen=True, init=False, repr=False)
class Binary(SingleLabelTarget):
    """A yes/no question: `Binary(["benign", "malignant"])`.

    By label value: `Binary({2: "benign", 7: "malignant"})`.

    >>> from torchcross.targets import Binary
    >>> target = Binary(["no", "yes"])
    >>> target.num_outputs, target.default_metrics
    (1, ('auroc', 'average_precision', 'accuracy', 'balanced_accuracy', 'f1'))
    """

    kind = "binary"
    has_fixed_classes = True
    default_loss = "cross_entropy"
    objectives = {
        "cross_entropy": _objective(losses.binary_cross_entropy, "class_weights", "smoothing"),
        "focal": _objective(losses.binary_focal, "gamma", "alpha"),
    }
    metrics = {
        "auroc": lambda target, p, y: metrics.binary_auroc(_ranking(p), y, target.classes),
        "average_precision": lambda target, p, y: metrics.binary_average_precision(
            _ranking(p), y, target.classes
        ),
        "accuracy": lambda target, p, y: metrics.accuracy(p.decisions, y),
        "balanced_accuracy": lambda target, p, y: metrics.balanced_accuracy(
            p.decisions, y, target.classes
        ),
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
            raise TargetError(
                f"Binary got {len(names)} classes, {list(names)}; it takes two, use MultiClass for"
                " more"
            )
        self.check_and_fill(names, values, missing, loss, loss_options)

    @property
    def likelihood(self) -> Likelihood:
        return Likelihood("cumulative", 1, 2)

    def regression_codes(self) -> Float[Tensor, "2 1"]:
        return torch.tensor([[-1.0], [1.0]])
