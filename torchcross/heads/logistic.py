"""Penalised logistic regression to convergence, in the span of the support, for every target."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from torchcross.errors import InputError
from torchcross.heads.leave_one_out import temperatures
from torchcross.heads.linear import BIAS, WEIGHT
from torchcross.heads.solution import solution
from torchcross.targets import Target
from torchcross.targets.likelihood import Likelihood, raw_thresholds

LOGISTIC_FORMS = {True: "logistic", False: "logistic-raw"}
"""The form of head by whether features have unit length first."""
_SHORTEST = 1e-12


def logistic_head(
    likelihood: Likelihood,
    features: Float[Tensor, "N D"],
    codes: Int64[Tensor, "A N"],
    penalties: Float[Tensor, " M"],
    *,
    unit_length: bool = True,
    temper: bool = False,
    to_rounding: bool = False,
) -> dict[str, Tensor]:
    """A head for each C in `penalties`: argmin |W|^2 / 2 + C x (sum of losses), in float64.

    unit_length  of features that are divided by their lengths
    temper       divides the scores by a temperature, which is fitted by leaving out one sample of
                 the support after the other; not differentiable
    to_rounding  gives the same digits whether or not gradients are recorded

    Runs under `torch.func.vmap`, many episodes at once. Where gradients are recorded, those of the
    solution to the features are exact up to the third derivative.

    >>> from torchcross.heads import logistic_head
    >>> from torchcross.targets import MultiClass
    >>> likelihood = MultiClass(["disc", "star"]).likelihood
    >>> features = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.8]])
    >>> codes = likelihood.codes(torch.tensor([0, 0, 1, 1]))
    >>> head = logistic_head(likelihood, features, codes, torch.tensor([1.0, 100.0]))
    >>> head["head.weight"][:, 0].round(decimals=1)  # of the first class, for each C
    tensor([[ 0.5000, -0.5000],
            [ 2.3000, -2.4000]])
    """
    if temper and features.requires_grad and torch.is_grad_enabled():
        raise InputError(
            "a temperature that is found by leaving samples out has no gradient; train without it,"
            " and adapt with it."
        )
    rows, centre = centred_rows(features, unit_length)
    weights = penalties.to(rows)
    codes = codes.to(rows.device).expand(len(weights), *codes.shape)
    gram = grams_by_penalty(rows @ rows.mT, weights, codes.shape)
    duals, free = solution(likelihood, gram, codes, to_rounding=to_rounding)
    if temper:
        temperature = temperatures(likelihood, gram, codes)
        weights, free = weights / temperature, free / temperature[:, None, None]
    head = _head(likelihood, rows, centre, weights, duals, free)
    return {name: value.to(features) for name, value in head.items()}


def centred_rows(
    features: Float[Tensor, "N D"], unit: bool, centre: Float[Tensor, " D"] | None = None
) -> tuple[Float[Tensor, "N D"], Float[Tensor, " D"]]:
    """The features in float64, of unit length if asked for, less `centre`: by default their mean.

    Nothing penalises intercepts and thresholds, so the mean changes no solution; without it fewer
    digits are lost.
    """
    # Apple's GPUs have no float64.
    rows = (features.cpu() if features.device.type == "mps" else features).double()
    lengths = lengths_of(rows).unsqueeze(-1)
    if unit:
        rows = rows / lengths
    if centre is not None:
        return rows - centre, centre
    # Broken features stay in their own rows, so that an error can name the images.
    centre = torch.where(lengths.isfinite(), rows, 0).mean(0)
    return rows - centre, centre


def grams_by_penalty(
    gram: Float[Tensor, "*E N Q"], weights: Float[Tensor, " M"], shape: Sequence[int]
) -> Float[Tensor, "*E M A N Q"]:
    """The Gram matrix times each C, for each answer; `shape` is (M, A, N)."""
    scaled = weights[:, None, None] * gram.unsqueeze(-3)
    return scaled.unsqueeze(-3).expand(*gram.shape[:-2], *shape, gram.shape[-1])


def _head(
    likelihood: Likelihood,
    rows: Float[Tensor, "N D"],
    centre: Float[Tensor, " D"],
    weights: Float[Tensor, " M"],
    duals: Float[Tensor, "M A R N"],
    free: Float[Tensor, "M A P"],
) -> dict[str, Tensor]:
    # R is 1 where there are several answers.
    weight = weights[:, None, None] * (duals.flatten(1, 2) @ rows)
    of_centre = weight @ centre
    if likelihood.family == "softmax":
        return {WEIGHT: weight, BIAS: free.flatten(1) - of_centre}
    thresholds = free + of_centre.unsqueeze(-1)
    return {WEIGHT: weight, BIAS: raw_thresholds(thresholds).flatten(1)}


def logistic_logits(
    target: Target,
    features: Float[Tensor, "N D"],
    params: dict[str, Tensor],
    *,
    unit_length: bool = True,
) -> Float[Tensor, "N outputs"]:
    """Logits that mean the mean probability of the heads in `params`, one for each C."""
    likelihood, weight = target.likelihood, params[WEIGHT]
    scores = features @ weight.flatten(0, 1).transpose(0, 1)
    if unit_length:
        scores = scores / lengths_of(features).unsqueeze(-1)
    scores = scores.reshape(-1, *weight.shape[:2])
    log_p = likelihood.log_probabilities(scores, params[BIAS])
    mean = log_p.logsumexp(1) - math.log(len(weight))
    return target.prototype_logits(likelihood.prototype_scores(mean))


def lengths_of(features: Float[Tensor, "N D"]) -> Float[Tensor, " N"]:
    """The Euclidean lengths that features are divided by; features of zeros stay zeros."""
    lengths: Tensor = torch.linalg.vector_norm(features, dim=-1)
    return lengths.clamp(min=_SHORTEST)
