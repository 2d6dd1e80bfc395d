"""Logistic heads of many episodes of one shape: from features to log-probabilities.

A query's score needs its products with the support alone, so that no weights are made: the Gram
matrix of support and query is the only pass over the features.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from torchcross.heads.leave_one_out import log_probabilities_of
from torchcross.heads.logistic import grams_by_penalty, lengths_of
from torchcross.heads.newton import refuse_infinite
from torchcross.heads.solution import solution
from torchcross.targets.likelihood import Likelihood

# Some MB of N x N matrices: more of them fall out of a core's own cache.
_MATRICES_AT_ONCE = 320


@torch.no_grad()
def logistic_log_probabilities(
    likelihood: Likelihood,
    support: Sequence[Float[Tensor, "N D"]],
    codes: Sequence[Int64[Tensor, "A N"]],
    query: Sequence[Float[Tensor, "Q D"]],
    penalties: Float[Tensor, " M"],
    *,
    unit_length: bool = True,
) -> Float[Tensor, "E Q A C"]:
    """Log-probabilities of the classes of each query, for many episodes at once.

    A probability is the mean over the heads that `logistic_head` fits to the support, one for each
    of `penalties`. Those of an episode have the same bits alone and beside others.

    >>> from torchcross.heads import logistic_log_probabilities
    >>> from torchcross.targets import MultiClass
    >>> likelihood = MultiClass(["disc", "star"]).likelihood
    >>> support = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.8]])
    >>> codes = likelihood.codes(torch.tensor([0, 0, 1, 1]))
    >>> query, C = torch.tensor([[1.0, 0.2]]), torch.tensor([10.0])
    >>> log_p = logistic_log_probabilities(likelihood, [support], [codes], [query], C)
    >>> log_p[0].exp().round(decimals=2)
    tensor([[[0.8900, 0.1100]]], dtype=torch.float64)
    """
    most = max(1, _MATRICES_AT_ONCE // (len(penalties) * likelihood.scores))
    parts = []
    for some in _chunks(len(support), most):
        gram, cross = _grams(support[some], query[some], unit_length=unit_length)
        weights = penalties.to(gram)
        labels = torch.stack(list(codes[some])).to(gram.device)
        every = labels.unsqueeze(1).expand(-1, len(weights), -1, -1)
        duals, free = solution(likelihood, grams_by_penalty(gram, weights, every.shape[1:]), every)
        # (E, M, A, Q, R): scores of every query by every head.
        scores = (duals @ grams_by_penalty(cross, weights, every.shape[1:])).mT
        each = log_probabilities_of(
            likelihood, scores, free.unsqueeze(-2).expand(*scores.shape[:4], -1)
        )
        parts.append((each.logsumexp(1) - math.log(len(weights))).transpose(1, 2))
    return torch.cat(parts)


def _chunks(count: int, most: int) -> Iterator[slice]:
    return (slice(start, start + most) for start in range(0, count, most))


def _grams(
    support: Sequence[Float[Tensor, "N D"]],
    query: Sequence[Float[Tensor, "Q D"]],
    *,
    unit_length: bool,
) -> tuple[Float[Tensor, "E N N"], Float[Tensor, "E N Q"]]:
    """Products of the support with itself and with the query, less the support's mean, in float64.

    Nothing penalises intercepts, so that the mean changes no solution. It is taken from the
    products: of some digits that are alike in all features, float64 can spare the loss.
    """
    count = len(support[0])
    products, lengths = _products(support, query)
    if unit_length:
        products /= lengths.unsqueeze(-1) * lengths[:, None, :count]
    gram, cross = products[:, :count], products[:, count:]
    # Before the mean takes what is broken into all rows.
    refuse_infinite(gram)
    # The mean over support rows, of their products with each support sample.
    mean = gram.mean(1, keepdim=True)
    centre = mean.mean(2, keepdim=True)
    return (
        gram - mean - mean.mT + centre,
        (cross - mean - cross.mean(2, keepdim=True) + centre).mT,
    )


def _products(
    support: Sequence[Float[Tensor, "N D"]], query: Sequence[Float[Tensor, "Q D"]]
) -> tuple[Float[Tensor, "E N+Q N"], Float[Tensor, "E N+Q"]]:
    """Products of all features of an episode with its support, and the lengths of all features.

    The rows of one episode after the other stand in one place: fresh memory for those of all would
    cost more than the products.
    """
    first, others = support[0], query[0]
    # Apple's GPUs have no float64.
    device = torch.device("cpu") if first.device.type == "mps" else first.device
    count, total = len(first), len(first) + len(others)
    rows = torch.empty(total, first.shape[1], dtype=torch.float64, device=device)
    products = rows.new_empty(len(support), total, count)
    lengths = rows.new_empty(len(support), total)
    for at, (own, asked) in enumerate(zip(support, query, strict=True)):
        rows[:count], rows[count:] = own, asked
        torch.mm(rows, rows[:count].mT, out=products[at])
        lengths[at] = lengths_of(rows)
    return products, lengths
