"""How scores are written: fractions of one as percentages with one decimal, everything else as it
is.
"""

from __future__ import annotations

from math import isfinite

__all__ = ["factor_of", "metric_name", "metric_title", "score_text"]

_FRACTIONS = {
    *("auroc", "average_precision", "accuracy", "balanced_accuracy", "f1", "exact_match", "qwk"),
}
_NAMES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "exact_match": "exact match",
    "qwk": "quadratic weighted kappa",
    "mae": "mean absolute error",
}


def factor_of(metric: str) -> float:
    """By what a score of this metric is multiplied to be shown."""
    return 100.0 if metric in _FRACTIONS else 1.0


def metric_name(metric: str) -> str:
    """As papers write it: "AUROC"."""
    return _NAMES.get(metric, metric)


def metric_title(metric: str) -> str:
    """The metric's name with its unit: "AUROC (%)"."""
    return f"{metric_name(metric)} (%)" if metric in _FRACTIONS else metric_name(metric)


def score_text(value: float, metric: str) -> str:
    """67.5 for an AUROC of .675, 1.204 for a mean error of 1.204; "undefined" for NaN."""
    if not isfinite(value):
        return "undefined"
    return f"{100 * value:.1f}" if metric in _FRACTIONS else f"{value:.3f}"
