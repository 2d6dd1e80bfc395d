"""Ordered grades, with real and possibly unequal gaps between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import NDArray
from torch import Tensor

from torchcross import losses, metrics
from torchcross.errors import TargetError
from torchcross.targets.classes import normalise_classes, normalise_values
from torchcross.targets.head_layout import HeadLayout
from torchcross.targets.labels import Codes
from torchcross.targets.likelihood import Likelihood
from torchcross.targets.objective import Objective
from torchcross.targets.objective_parts import (
    WithoutTarget,
    identity,
    log_odds,
    most_likely,
    output_per_class,
)
from torchcross.targets.padding import ABSENT_CLASSES, Padding
from torchcross.targets.single_label import METRICS_OF_CLASSES, SingleLabelTarget, columns_of


def _earth_movers(
    logits: Float[Tensor, "N K"], labels: Int64[Tensor, " N"], target: Any
) -> Float[Tensor, ""]:
    gaps = tuple(later - earlier for earlier, later in pairwise(target.grades))
    return losses.earth_movers(logits, labels, gaps=gaps)


def _soft_labels(
    logits: Float[Tensor, "N K"], labels: Int64[Tensor, " N"], target: Any, **options: Any
) -> Float[Tensor, ""]:
    return losses.soft_labels(logits, labels, grades=target.grades, **options)


def _shared_row(ranks: int) -> HeadLayout:
    return HeadLayout("shared", ranks - 1)


def _output_per_step(ranks: int) -> HeadLayout:
    return HeadLayout("linear", ranks - 1)


def _thresholds(ranks: int) -> HeadLayout:
    return HeadLayout("thresholds", ranks)


def _most_likely_between_thresholds(logits: Float[Tensor, "N K"]) -> Int64[Tensor, " N"]:
    return losses.cumulative_link_probabilities(logits).argmax(dim=-1)


def _cumulative_logits(scores: Float[Tensor, "N K"]) -> Float[Tensor, "N K-1"]:
    """Scores -> logits of P(y >= k) under their softmax."""
    below, above = _log_sums(scores)
    return above - below


def _conditional_logits(scores: Float[Tensor, "N K"]) -> Float[Tensor, "N K-1"]:
    """Scores -> logits of P(y >= k | y >= k-1) under their softmax."""
    _, above = _log_sums(scores)
    return above - scores[..., :-1]


def _threshold_logits(scores: Float[Tensor, "N K"]) -> Float[Tensor, "N K"]:
    """Scores -> cumulative-link outputs that give their softmax: f = 0, theta_1 and raw gaps.

    Let a and b be the scores of rank k relative to all ranks below and above it. Then
    theta_{k+1} - theta_k is log(1 + e^a) + log(1 + e^b), which is the softplus of
    log(e^a + e^b + e^(a+b)): nothing cancels.
    """
    below, above = _log_sums(scores)
    inner = scores[..., 1:-1]
    a, b = inner - below[..., :-1], inner - above[..., 1:]
    first = below[..., :1] - above[..., :1]
    raw_gaps = torch.stack([a, b, a + b]).logsumexp(0)
    return torch.cat([torch.zeros_like(first), first, raw_gaps], dim=-1)


def _log_sums(
    scores: Float[Tensor, "N K"],
) -> tuple[Float[Tensor, "N K-1"], Float[Tensor, "N K-1"]]:
    """For k = 1..K-1 the log-sum-exp of the scores below rank k, and of those from rank k up."""
    # logcumsumexp would not do: its second derivative is NaN where a gradient is 0.
    ranks = torch.arange(scores.shape[-1], device=scores.device)
    below = ranks < ranks[1:, None]
    rows = scores.unsqueeze(-2)
    low, high = (torch.where(mask, rows, -torch.inf) for mask in (below, ~below))
    return low.logsumexp(-1), high.logsumexp(-1)


def _rank_scores(
    loss: Callable[..., Tensor], *options: str, padding: Padding | None = None
) -> Objective:
    """One output per rank, read through a softmax."""
    return Objective(
        loss=loss,
        layout=output_per_class,
        probabilities=losses.softmax,
        decisions=most_likely,
        from_scores=identity,
        options=frozenset(options),
        log_odds=log_odds,
        padding=padding,
    )


@final
@dataclass(frozen=True, init=False, repr=False)
class Ordinal(SingleLabelTarget):
    """Grades in ascending order: `Ordinal(["none", "mild", "severe"])`.

    With real gaps between the grades: `Ordinal(["none", "some", "much"], grades=[0, 1, 4])` or
    `Ordinal({0: "none", 1: "some", 4: "much"})`. Codes are ranks 0..K-1; raw labels and `decode`
    have grades.

    >>> from torchcross.targets import Ordinal
    >>> target = Ordinal(["none", "mild", "severe"], grades=[0.0, 1.0, 3.0])
    >>> target.num_outputs, target.default_metrics
    (3, ('auroc', 'accuracy', 'balanced_accuracy', 'qwk', 'mae'))
    """

    kind = "ordinal"
    default_loss = "cross_entropy"
    objectives = {
        "cross_entropy": _rank_scores(
            WithoutTarget(losses.cross_entropy),
            "class_weights",
            "smoothing",
            padding=ABSENT_CLASSES,
        ),
        "coral": Objective(
            loss=WithoutTarget(losses.coral),
            layout=_shared_row,
            probabilities=losses.coral_probabilities,
            decisions=losses.coral_decision,
            from_scores=_cumulative_logits,
        ),
        "corn": Objective(
            loss=WithoutTarget(losses.corn),
            layout=_output_per_step,
            probabilities=losses.corn_probabilities,
            decisions=losses.corn_decision,
            from_scores=_conditional_logits,
        ),
        "cumulative_link": Objective(
            loss=WithoutTarget(losses.cumulative_link),
            layout=_thresholds,
            probabilities=losses.cumulative_link_probabilities,
            decisions=_most_likely_between_thresholds,
            from_scores=_threshold_logits,
        ),
        "earth_movers": _rank_scores(_earth_movers),
        "soft_labels": _rank_scores(_soft_labels, "tau"),
    }
    metrics = {
        **METRICS_OF_CLASSES,
        "qwk": lambda target, p, y: metrics.quadratic_weighted_kappa(
            p.decisions, y, target.num_classes
        ),
        "mae": lambda target, p, y: metrics.mean_absolute_error(p.decisions, y, target.values),
    }
    default_metrics = ("auroc", "accuracy", "balanced_accuracy", "qwk", "mae")

    def __init__(
        self,
        classes: Sequence[str] | Mapping[int, str],
        grades: Sequence[int] | None = None,
        *,
        missing: object = (),
        loss: str | None = None,
        **loss_options: Any,
    ) -> None:
        names, values = normalise_classes("Ordinal", classes, fewest=2)
        if grades is not None:
            if isinstance(classes, Mapping):
                raise TargetError(
                    "Ordinal got grades twice, as keys of the mapping and as grades=; give one of"
                    " them"
                )
            values = normalise_values("Ordinal", grades)
        if len(values) != len(names):
            raise TargetError(
                f"Ordinal got {len(values)} grades for {len(names)} class names; give one grade per"
                " name"
            )
        if list(values) != sorted(values):
            raise TargetError(
                f"Ordinal got the grades {list(values)}; list grades (and their names) in ascending"
                " order"
            )
        self.check_and_fill(names, values, missing, loss, loss_options)

    @property
    def grades(self) -> tuple[int, ...]:
        """The raw label value of each rank, ascending."""
        return self.values

    @property
    def likelihood(self) -> Likelihood:
        return Likelihood("cumulative", 1, self.num_classes)

    def label_columns(self, codes: Codes) -> NDArray[np.float64]:
        """A column for each step of the scale: whether the rank is that of the step or above."""
        ranks = np.arange(self.num_classes)
        return columns_of(codes, (ranks[:, None] >= ranks[1:]).astype(np.float64))

    def regression_codes(self) -> Float[Tensor, "{self.num_classes} {self.num_classes-1}"]:
        """Rank j is the code word of +1 for every step up to it, -1 for every step beyond it."""
        ranks = torch.arange(self.num_classes)
        steps = torch.arange(1, self.num_classes)
        return (ranks[:, None] >= steps).to(torch.get_default_dtype()) * 2 - 1
