"""How scores are written: fractions of one as percentages, other metrics as they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

import numpy as np

from torchcross.records import Means
from torchcross.records.shots import shots_text

_PERCENTAGES = {
    *("auroc", "average_precision", "accuracy", "balanced_accuracy", "f1", "exact_match", "qwk"),
    "weighted_auroc",
}
_NAMES = {
    "auroc": "AUROC",
    "average_precision": "average precision",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "exact_match": "exact match",
    "qwk": "quadratic weighted kappa",
    "mae": "mean absolute error",
    "weighted_auroc": "weighted AUROC",
}
_MOST_DIGITS = 3
_CLOSE = 0.03
"""Shares that lie within it are nearly alike in whole percents."""


@dataclass(frozen=True)
class Notation:
    """How the scores of one metric are written. `title` is its name with its unit: "AUROC (%)"."""

    title: str
    factor: float = 1.0
    digits: int = _MOST_DIGITS

    def text(self, value: float, missing: str = "undefined") -> str:
        """67.5 for an AUROC of .675, 1.204 for an error of 1.204; `missing` for NaN."""
        # z: what rounds to zero has no sign.
        return f"{value * self.factor:z.{self.digits}f}" if isfinite(value) else missing

    def short_text(self, value: float) -> str:
        """With its unit and no zeros at the end: "1 percentage point" for .01 of an AUROC."""
        shown = f"{value * self.factor:.4g}"
        if self.factor == 1.0:
            return shown
        return f"{shown} percentage point" if shown == "1" else f"{shown} percentage points"


def notation_of(metric: str) -> Notation:
    name = _NAMES.get(metric, metric)
    return Notation(f"{name} (%)", 100.0, 1) if metric in _PERCENTAGES else Notation(name)


def notation_of_means(means: Means) -> Notation:
    """Published means keep their unit, and as many decimals as they have.

    Means with more than three decimals were computed: they get those that papers give.
    """
    known = means.values[~np.isnan(means.values)]
    computed = 1 if np.abs(known).max(initial=0.0) >= 10 else _MOST_DIGITS
    digits = next(
        (
            digits
            for digits in range(_MOST_DIGITS + 1)
            if np.abs(known - known.round(digits)).max(initial=0.0) < 1e-9
        ),
        computed,
    )
    return Notation(_NAMES.get(means.metric, means.metric), digits=digits)


def shots_title(shots: int | None) -> str:
    """As in "5 shots"; empty for published means, which are of no shots."""
    if shots is None:
        return ""
    return shots_text(shots)


def percent_text(share: float) -> str:
    """A share of one to three digits: "33.3%" for a third, "50%" for a half."""
    return f"{100 * share:.3g}%"


def share_digits(shares: Iterable[float]) -> int:
    """The decimals of shares in percent: one where whole percents would be nearly all alike."""
    known = [share for share in shares if isfinite(share)]
    return int(len(known) > 1 and max(known) - min(known) < _CLOSE)


def p_text(value: float) -> str:
    if not isfinite(value):
        return "—"
    if value >= 0.9995:
        return "1"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
