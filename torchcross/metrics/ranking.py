"""AUROC and average precision of one column of scores, by torchmetrics.

torchmetrics squashes scores outside [0, 1] with a sigmoid, which in float32 ties scores that
differ. Both metrics depend on the order of the scores alone, so it is given their dense ranks,
scaled into [0, 1].
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

__all__ = ["area_under_roc", "mean_precision"]


def area_under_roc(scores: Float[Tensor, " N"], positive: Bool[Tensor, " N"]) -> float | None:
    """``P(score of a positive > score of a negative)``, ties counting half; None without both
    kinds.
    """
    # torchmetrics imports scipy and matplotlib, which importing this package must not.
    from torchmetrics.functional.classification import binary_auroc

    positives = int(positive.sum())
    pairs = positives * (len(positive) - positives)
    if pairs == 0:
        return None
    value = binary_auroc(_dense_ranks(scores), positive.long(), validate_args=False).item()
    # A whole number of half pairs: rounding to it takes away torchmetrics' float32 noise.
    return round(value * 2 * pairs) / (2 * pairs)


def mean_precision(scores: Float[Tensor, " N"], positive: Bool[Tensor, " N"]) -> float | None:
    """``sum_n (R_n - R_{n-1}) P_n`` over the distinct scores; None without a positive. Within
    1e-6.
    """
    from torchmetrics.functional.classification import binary_average_precision

    if not positive.any():
        return None
    value = binary_average_precision(
        _dense_ranks(scores), positive.long(), validate_args=False
    ).item()
    return min(max(value, 0.0), 1.0)


def _dense_ranks(scores: Float[Tensor, " N"]) -> Float64[Tensor, " N"]:
    group: Tensor = torch.unique(scores.double(), return_inverse=True)[1]
    return group.double() / group.max().clamp(min=1)
