"""Scores of every sample of a support by a head that was fitted without it."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from torchcross.heads.padded_rows import pad_rows
from torchcross.heads.solution import solution
from torchcross.targets import MISSING
from torchcross.targets.likelihood import Likelihood, raw_thresholds

HOTTEST = 10.0
"""Temperatures lie between 1 / HOTTEST and HOTTEST."""
_GOLDEN = (math.sqrt(5) - 1) / 2
_SECTIONS = 40


def solutions_without_each(
    likelihood: Likelihood, gram: Float[Tensor, "M A N N"], codes: Int64[Tensor, "M A N"]
) -> tuple[Float[Tensor, "M A N R N"], Float[Tensor, "M A N P"]]:
    """Duals and free parameters of the fits without sample 0, without sample 1, and so on.

    A sample that is the only one of its class stays in.
    """
    samples = codes.shape[-1]
    own = torch.eye(samples, dtype=torch.bool, device=codes.device)
    others = torch.where(own & has_others(codes).unsqueeze(-1), MISSING, codes.unsqueeze(-2))
    grams = gram.unsqueeze(-3).expand(*others.shape, samples)
    return solution(likelihood, grams, others)


def has_others(codes: Int64[Tensor, "*B N"]) -> Bool[Tensor, "*B N"]:
    """Which samples can be left out: those of a known class that has another sample.

    >>> from torchcross.heads import has_others
    >>> has_others(torch.tensor([0, 0, 1]))
    tensor([ True,  True, False])
    """
    same = codes.unsqueeze(-1) == codes.unsqueeze(-2)
    return (same.sum(-1) > 1) & (codes != MISSING)


@torch.no_grad()
def temperatures(
    likelihood: Likelihood, gram: Float[Tensor, "M A N N"], codes: Int64[Tensor, "M A N"]
) -> Float[Tensor, " M"]:
    """The temperature of each of M heads that makes samples likeliest that it has not seen.

    Samples that cannot be left out do not count; where none can, the temperature is 1.

    The negative log-likelihood is convex in 1 / temperature, so that a golden section finds its
    minimum, to 1e-8 of its logarithm.
    """
    duals, free = solutions_without_each(likelihood, gram, codes)
    counted = has_others(codes)
    # The score of sample i by the fit without it: its column of K.
    scores = torch.einsum("manrj,manj->manr", duals, gram)

    def cost(log_temperature: Float[Tensor, " M"]) -> Float[Tensor, " M"]:
        sharpness = (-log_temperature).exp()[:, None, None, None]
        log_p = log_probabilities_of(likelihood, scores * sharpness, free * sharpness)
        own = log_p.gather(-1, codes.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return -torch.where(counted, own, 0).sum((1, 2))

    bound = math.log(HOTTEST)
    low = torch.full_like(gram[:, 0, 0, 0], -bound)
    high = -low
    for _ in range(_SECTIONS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        falls = cost(left) > cost(right)
        low, high = torch.where(falls, left, low), torch.where(falls, high, right)
    return torch.where(counted.any(-1).any(-1), ((low + high) / 2).exp(), 1.0)


def log_probabilities_of(
    likelihood: Likelihood, scores: Float[Tensor, "*B R"], free: Float[Tensor, "*B P"]
) -> Float[Tensor, "*B C"]:
    """Of every class of one answer, for samples that each have free parameters of their own."""
    one = Likelihood(likelihood.family, 1, likelihood.classes)
    flat, own = (pad_rows(each.reshape(-1, each.shape[-1])) for each in (scores, free))
    if likelihood.family != "softmax":
        own = raw_thresholds(own)
    log_p = one.log_probabilities(flat.unsqueeze(0), own)[0, : scores[..., 0].numel()]
    return log_p.reshape(*scores.shape[:-1], likelihood.classes)
