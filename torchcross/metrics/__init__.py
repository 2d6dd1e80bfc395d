"""Metrics: pure functions that return a ``Score``.

Where a metric is undefined, its value is NaN, with the reason. Where it is undefined for some
classes, its value is the mean of the others, and the score says so.
"""

from __future__ import annotations

from torchcross.metrics.multilabel import (
    exact_match,
    multilabel_accuracy,
    multilabel_auroc,
    multilabel_average_precision,
    multilabel_balanced_accuracy,
    multilabel_f1,
)
from torchcross.metrics.ordinal import mean_absolute_error, quadratic_weighted_kappa
from torchcross.metrics.score import Score
from torchcross.metrics.single_label import (
    accuracy,
    auroc,
    average_precision,
    balanced_accuracy,
    binary_auroc,
    binary_average_precision,
    binary_f1,
    f1,
    weighted_auroc,
)

__all__ = [
    "Score",
    "accuracy",
    "auroc",
    "average_precision",
    "balanced_accuracy",
    "binary_auroc",
    "binary_average_precision",
    "binary_f1",
    "exact_match",
    "f1",
    "mean_absolute_error",
    "multilabel_accuracy",
    "multilabel_auroc",
    "multilabel_average_precision",
    "multilabel_balanced_accuracy",
    "multilabel_f1",
    "quadratic_weighted_kappa",
    "weighted_auroc",
]
