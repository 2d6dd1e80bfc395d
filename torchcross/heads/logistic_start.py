"""A linear head for gradient steps that starts at the solution of penalised logistic regression."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from torchcross.errors import InputError
from torchcross.heads.linear import BIAS, WEIGHT
from torchcross.heads.logistic import lengths_of, logistic_head
from torchcross.heads.prototypes import prototype_map
from torchcross.targets import Target
from torchcross.targets.likelihood import Likelihood

START_C = 10.0
"""Penalty of the start, on features of mean length 1."""


def logistic_start(
    target: Target, features: Float[Tensor, "N D"], labels: Int64[Tensor, " N *L"]
) -> dict[str, Tensor]:
    """The linear head, in the layout of the target's loss, whose probabilities are the solution's.

    Features are divided by their mean length first; one number for all keeps the head linear.
    Losses that read one output per rank through a softmax start at softmax regression on the ranks.
    Differentiable in the features.

    >>> from torchcross.heads import logistic_start
    >>> from torchcross.targets import Binary
    >>> head = logistic_start(Binary(), torch.eye(2), torch.tensor([0, 1]))
    >>> bool(head["head.weight"][0, 1] > 0 > head["head.weight"][0, 0])
    True
    """
    likelihood = start_likelihood(target)
    length = lengths_of(features).mean()
    penalty = torch.tensor([START_C], dtype=torch.float64)
    codes = likelihood.codes(labels)
    # At the solution intercepts have no gradient, so Adam would make steps of its rounding.
    fit = logistic_head(
        likelihood, features / length, codes, penalty, unit_length=False, to_rounding=True
    )
    weight, free = fit[WEIGHT][0] / length, fit[BIAS][0]
    if target.head.kind == "thresholds":
        return {WEIGHT: weight, BIAS: free}
    if target.head.kind == "shared":
        thresholds = torch.cat([free[:1], F.softplus(free[1:])]).cumsum(0)
        return {WEIGHT: weight, BIAS: -thresholds}
    if likelihood.family == "softmax":
        rows = torch.cat([weight, free.unsqueeze(-1)], dim=-1)
    else:
        # Two classes: the first has the score 0, the second its log-odds.
        odds = torch.cat([weight, -free.unsqueeze(-1)], dim=-1)
        rows = torch.cat([torch.zeros_like(odds), odds])
    rows = prototype_map(target).to(rows) @ rows
    return {WEIGHT: rows[:, :-1], BIAS: rows[:, -1]}


def start_likelihood(target: Target) -> Likelihood:
    """The likelihood that a linear head of this loss can reach; raises where there is none."""
    own = target.likelihood
    if target.head.kind != "linear":
        return own
    try:
        prototype_map(target)
    except InputError as error:
        raise InputError(
            f"{target!r} has no logistic start: with its loss {target.loss_name!r} the logits of a"
            " logistic head are not linear in the features. Use the loss"
            f" {target.default_loss!r}, or head='zero' or 'kaiming'."
        ) from error
    if own.family == "cumulative" and own.classes > 2:
        return Likelihood("softmax", own.answers, own.classes)
    return own
