"""What holds of a metric for every target: its better values, and what chance reaches."""

from __future__ import annotations

from typing import Final

LOWER_IS_BETTER: Final = frozenset({"mae"})
"""Metrics whose smaller value is the better one."""

CHANCE: Final = {"auroc": 0.5, "qwk": 0.0, "weighted_auroc": 0.5}
"""What a predictor that ranks nothing reaches, whatever the classes and their shares are."""

_UNIT: Final = (0.0, 1.0)

BOUNDS: Final = {
    "accuracy": _UNIT,
    "auroc": _UNIT,
    "average_precision": _UNIT,
    "balanced_accuracy": _UNIT,
    "exact_match": _UNIT,
    "f1": _UNIT,
    "qwk": (-1.0, 1.0),
    "weighted_auroc": _UNIT,
}
"""The least and the largest value of metrics that have both."""


def lower_is_better(metric: str) -> bool:
    """Whether the smaller value of a metric is the better one.

    >>> from torchcross.statistics import lower_is_better
    >>> lower_is_better("mae"), lower_is_better("auroc")
    (True, False)
    """
    return metric in LOWER_IS_BETTER
