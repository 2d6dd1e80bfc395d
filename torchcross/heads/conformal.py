"""Sets of classes whose coverage of the truth has a guarantee, from a support set alone."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from torchcross.heads.leave_one_out import log_probabilities_of, solutions_without_each
from torchcross.heads.logistic import centred_rows, grams_by_penalty
from torchcross.heads.solution import solution
from torchcross.targets import MISSING
from torchcross.targets.likelihood import Likelihood


@torch.no_grad()
def conformal_sets(
    likelihood: Likelihood,
    features: Float[Tensor, "N D"],
    codes: Int64[Tensor, "A N"],
    queries: Float[Tensor, "Q D"],
    penalties: Float[Tensor, " M"],
    *,
    level: float,
    held_out: Bool[Tensor, "A N"] | None = None,
    unit_length: bool = True,
) -> Bool[Tensor, "A Q {likelihood.classes}"]:
    """Which classes are in the set of each query, for each answer.

    A class is stranger the smaller its mean probability over the heads of `penalties`. With
    `held_out`, heads are fitted to the other samples, and a class is in if it is at most as strange
    as the quantile of the true classes of those held out (split conformal). Without, each sample is
    left out once, and a class is in unless too many samples are less strange, to the head that has
    not seen them, than the class is to the same head (Romano, Sesia and Candes 2020, CV+).

    >>> from torchcross.heads import conformal_sets
    >>> from torchcross.targets import MultiClass
    >>> likelihood = MultiClass(["disc", "star"]).likelihood
    >>> features = torch.eye(2).repeat(10, 1) + 0.1 * torch.arange(20).sin()[:, None]
    >>> codes = likelihood.codes(torch.arange(20) % 2)
    >>> C, queries = torch.tensor([10.0]), torch.tensor([[1.0, 0.0], [0.05, 1.0]])
    >>> conformal_sets(likelihood, features, codes, queries, C, level=0.9)
    tensor([[[ True, False],
             [False,  True]]])
    """
    rows, centre = centred_rows(features, unit_length)
    others, _ = centred_rows(queries, unit_length, centre)
    weights, codes = penalties.to(rows), codes.to(rows.device)
    every = codes.expand(len(weights), *codes.shape)
    gram = grams_by_penalty(rows @ rows.mT, weights, every.shape)
    # (M, A, N, Q): of the queries with the support.
    to_queries = grams_by_penalty(rows @ others.mT, weights, every.shape)
    known = codes != MISSING
    if held_out is None:
        duals, free = solutions_without_each(likelihood, gram, every)
        own_scores = torch.einsum("manrj,manj->manr", duals, gram)
        scores = torch.einsum("manrj,majq->manqr", duals, to_queries)
        strange = -_mean_log_p(likelihood, scores, free.unsqueeze(-2).expand(*scores.shape[:4], -1))
        own = -_true_class(_mean_log_p(likelihood, own_scores, free), codes)
        less = (own[:, :, None, None] < strange) & known[:, :, None, None]
        return less.sum(1) < _count_at_level(level, known.sum(1)).view(-1, 1, 1)
    held_out = held_out.to(rows.device)
    fitted = torch.where(held_out, MISSING, every)
    duals, free = solution(likelihood, gram, fitted)
    own_scores, scores = (duals @ gram).mT, (duals @ to_queries).mT
    own_log_p, log_p = (
        _mean_log_p(likelihood, each, free.unsqueeze(-2).expand(*each.shape[:3], -1))
        for each in (own_scores, scores)
    )
    counted = known & held_out
    strangeness = torch.where(counted, -_true_class(own_log_p, codes), torch.inf).sort(-1).values
    place = _count_at_level(level, counted.sum(1)).ceil().long()
    beyond = place > counted.sum(1)
    last = strangeness.gather(1, (place - 1).clamp(0, strangeness.shape[1] - 1).unsqueeze(1))
    # With too few samples no quantile is large enough, and every class is in.
    return (-log_p <= last.unsqueeze(-1)) | beyond.view(-1, 1, 1)


def _count_at_level(level: float, counts: Int64[Tensor, " A"]) -> Float[Tensor, " A"]:
    """The level times (n + 1), without what rounding adds to a whole number."""
    return ((counts + 1).double() * level * (1 - 1e-12)).clamp(min=0)


def _mean_log_p(
    likelihood: Likelihood, scores: Float[Tensor, "M *B R"], free: Float[Tensor, "M *B P"]
) -> Float[Tensor, "*B C"]:
    log_p = log_probabilities_of(likelihood, scores, free)
    return log_p.logsumexp(0) - math.log(len(log_p))


def _true_class(log_p: Float[Tensor, "A N C"], codes: Int64[Tensor, "A N"]) -> Float[Tensor, "A N"]:
    return log_p.gather(-1, codes.clamp(min=0).unsqueeze(-1)).squeeze(-1)
