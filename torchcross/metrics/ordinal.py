"""Metrics of ordinal targets: quadratic weighted kappa and the mean absolute error in grades."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Int
from torch import Tensor

from torchcross.errors import InputError
from torchcross.metrics.inputs import decided_rows, no_labels_reason
from torchcross.metrics.reasons import SAME_RANK
from torchcross.metrics.score import Score, undefined_score
from torchcross.metrics.single_label import confusion


def quadratic_weighted_kappa(
    decisions: Int[Tensor, " N"], labels: Int[Tensor, " N"], num_ranks: int
) -> Score:
    """``1 - sum(w O) / sum(w E)`` with ``w_ij = (i - j)^2 / (K - 1)^2``.

    O are the counts, E those by chance. It is computed in whole numbers: a constant predictor
    scores exactly 0, and a perfect one exactly 1. On labels of one rank alone it is 0 for all
    decisions, and its reason says so.

    >>> from torchcross.metrics import quadratic_weighted_kappa
    >>> decisions, labels = torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 2, 1])
    >>> round(quadratic_weighted_kappa(decisions, labels, 3).value, 3)
    0.8
    """
    name = "quadratic_weighted_kappa"
    if num_ranks < 2:
        raise InputError(f"{name}: num_ranks is {num_ranks}, expected at least 2 ranks")
    observed = confusion(name, decisions, labels, num_ranks)
    total = int(observed.sum())
    if not total:
        return undefined_score(no_labels_reason(len(labels)))
    ranks = torch.arange(num_ranks)
    squares = (ranks.unsqueeze(0) - ranks.unsqueeze(1)).square()
    by_chance = observed.sum(dim=1).unsqueeze(1) * observed.sum(dim=0).unsqueeze(0)
    expected = int((squares * by_chance).sum())
    if not expected:
        rank = int(observed.diagonal().argmax())
        return undefined_score(f"{SAME_RANK} {rank}")
    present = observed.sum(dim=1).nonzero().flatten().tolist()
    reason = ""
    if len(present) == 1:
        reason = f"all labels of the query are rank {present[0]}, so kappa is 0 by its formula"
    return Score(1 - total * int((squares * observed).sum()) / expected, reason)


def mean_absolute_error(
    decisions: Int[Tensor, " N"], labels: Int[Tensor, " N"], grades: Sequence[float]
) -> Score:
    """``mean_i |r_decided - r_true|``, in the unit of the grades r.

    >>> from torchcross.metrics import mean_absolute_error
    >>> mean_absolute_error(torch.tensor([0, 2]), torch.tensor([0, 1]), [0.0, 1.0, 3.0]).value
    1.0
    """
    name = "mean_absolute_error"
    ascending = all(low < high for low, high in pairwise(grades))
    if not (len(grades) and ascending and all(math.isfinite(grade) for grade in grades)):
        raise InputError(
            f"{name}: grades is {list(grades)!r}, expected one finite grade per rank in increasing"
            " order"
        )
    decided, truth = decided_rows(name, decisions, labels, len(grades))
    if not len(truth):
        return undefined_score(no_labels_reason(len(labels)))
    scale = torch.tensor(grades, dtype=torch.float64)
    return Score((scale[decided] - scale[truth]).abs().mean().item())
