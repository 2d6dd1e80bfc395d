"""AUROC and average precision of one column of scores, by torchmetrics.

torchmetrics passes scores outside [0, 1] through a sigmoid, which in float32 ties scores that
differ. Both metrics depend on the order of the scores alone, so torchmetrics gets their dense
ranks, scaled into [0, 1].
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor


def area_under_roc(scores: Float[Tensor, " N"], positive: Bool[Tensor, " N"]) -> float | None:
    """``P(score of a positive > score of a negative)``; None without both kinds.

    Ties count half.
    """
    # torchmetrics is slow to import: it imports scipy and matplotlib.
    from torchmetrics.functional.classification import binary_auroc

    positives = int(positive.sum())
    pairs = positives * (len(positive) - positives)
    if pairs == 0:
        return None
    value = binary_auroc(_dense_ranks(scores), positive.long(), validate_args=False).item()
    # The true value is a whole number of half pairs: rounding removes the float32 noise.
    return round(value * 2 * pairs) / (2 * pairs)


def mean_precision(scores: Float[Tensor, " N"], positive: Bool[Tensor, " N"]) -> float | None:
    """``sum_n (R_n - R_{n-1}) P_n`` over the distinct scores, to 1e-6; None without positives."""
    from torchmetrics.functional.classification import binary_average_precision

    if not positive.any():
        return None
    ranks = _dense_ranks(scores)
    value = binary_average_precision(ranks, positive.long(), validate_args=False).item()
    return min(max(value, 0.0), 1.0)


def _dense_ranks(scores: Float[Tensor, " N"]) -> Float64[Tensor, " N"]:
    group: Tensor = torch.unique(scores.double(), return_inverse=True)[1]
    return group.double() / group.max().clamp(min=1)
