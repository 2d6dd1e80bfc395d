"""Penalised logistic regression to convergence, in the span of the support, for every target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from torchcross.errors import InputError
from torchcross.heads.likelihood_models import MODELS
from torchcross.heads.linear import BIAS, WEIGHT
from torchcross.heads.newton import Model, minimise, newton_step
from torchcross.targets import Target
from torchcross.targets.likelihood import Likelihood

LOGISTIC_FORMS = {True: "logistic", False: "logistic-raw"}
"""The form of head by whether features have unit length first."""
_SHORTEST = 1e-12
# Some MB of N x N matrices: more of them fall out of a core's own cache.
_MATRICES_AT_ONCE = 320


def logistic_head(
    likelihood: Likelihood,
    features: Float[Tensor, "N D"],
    codes: Int64[Tensor, "A N"],
    penalties: Float[Tensor, " M"],
    *,
    unit_length: bool = True,
) -> dict[str, Tensor]:
    """A head for each C in `penalties`: argmin |W|^2 / 2 + C x (sum of losses), in float64.

    `unit_length`: of features that are divided by their lengths.

    Runs under `torch.func.vmap`, many episodes at once. Where gradients are recorded, those of the
    solution to the features are exact up to the third derivative.
    """
    rows, centre = _centred_rows(features, unit_length)
    weights = penalties.to(rows)
    gram = rows @ rows.mT
    codes = codes.to(rows.device).expand(len(weights), *codes.shape)
    duals, free = _solution(likelihood, _grams_by_penalty(gram, weights, codes.shape), codes)
    head = _head(likelihood, rows, centre, weights, duals, free)
    return {name: value.to(features) for name, value in head.items()}


@torch.no_grad()
def logistic_heads(
    likelihood: Likelihood,
    features: Sequence[Float[Tensor, "N D"]],
    codes: Sequence[Int64[Tensor, "A N"]],
    penalties: Float[Tensor, " M"],
    *,
    unit_length: bool = True,
) -> list[dict[str, Tensor]]:
    """`logistic_head` of many supports, those of one size at once."""
    heads: dict[int, dict[str, Tensor]] = {}
    sizes: dict[int, list[int]] = {}
    for at, rows in enumerate(features):
        sizes.setdefault(len(rows), []).append(at)
    most = max(1, _MATRICES_AT_ONCE // (len(penalties) * likelihood.scores))
    for group in sizes.values():
        for start in range(0, len(group), most):
            members = group[start : start + most]
            grams = torch.stack([_gram(features[at], unit_length) for at in members])
            weights = penalties.to(grams)
            labels = torch.stack([codes[at] for at in members]).to(grams.device)
            every = labels.unsqueeze(1).expand(-1, len(weights), -1, -1)
            duals, free = _solution(
                likelihood, _grams_by_penalty(grams, weights, every.shape[1:]), every
            )
            for at, own_duals, own_free in zip(members, duals, free, strict=True):
                rows, centre = _centred_rows(features[at], unit_length)
                head = _head(likelihood, rows, centre, weights, own_duals, own_free)
                heads[at] = {name: value.to(features[at]) for name, value in head.items()}
    return [heads[at] for at in range(len(features))]


def _centred_rows(
    features: Float[Tensor, "N D"], unit: bool
) -> tuple[Float[Tensor, "N D"], Float[Tensor, " D"]]:
    """The features in float64, of unit length if asked for, less their mean; and that mean.

    Nothing penalises intercepts and thresholds, so the mean changes no solution; without it fewer
    digits are lost.
    """
    # Apple's GPUs have no float64.
    rows = (features.cpu() if features.device.type == "mps" else features).double()
    lengths = lengths_of(rows).unsqueeze(-1)
    if unit:
        rows = rows / lengths
    # Broken features stay in their own rows, so that an error can name the images.
    centre = torch.where(lengths.isfinite(), rows, 0).mean(0)
    return rows - centre, centre


def _gram(features: Float[Tensor, "N D"], unit: bool) -> Float[Tensor, "N N"]:
    rows, _ = _centred_rows(features, unit)
    return rows @ rows.mT


def _grams_by_penalty(
    gram: Float[Tensor, "*E N N"], weights: Float[Tensor, " M"], shape: Sequence[int]
) -> Float[Tensor, "*E M A N N"]:
    """The Gram matrix times each C, for each answer; `shape` is (M, A, N)."""
    scaled = weights[:, None, None] * gram.unsqueeze(-3)
    return scaled.unsqueeze(-3).expand(*gram.shape[:-2], *shape, shape[-1])


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
    return {WEIGHT: weight, BIAS: _raw_thresholds(thresholds).flatten(1)}


def logistic_logits(
    target: Target,
    features: Float[Tensor, "N D"],
    params: dict[str, Tensor],
    *,
    unit_length: bool = True,
) -> Float[Tensor, "N outputs"]:
    """Logits that mean the mean probability of the heads in `params`, one for each C."""
    likelihood, weight = target.likelihood, params[WEIGHT]
    scores = features @ weight.flatten(0, 1).mT
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


def _raw_thresholds(free: Float[Tensor, "*B T"]) -> Float[Tensor, "*B T"]:
    """The first threshold, then for each next one the number whose softplus is its distance."""
    gaps = free.diff(dim=-1)
    return torch.cat([free[..., :1], gaps + torch.log(-torch.expm1(-gaps))], -1)


def _solution(likelihood: Likelihood, gram: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
    minimum: Any = _Minimum.apply
    duals, free = minimum(gram.detach(), codes, likelihood)
    if not torch.is_grad_enabled():
        return duals, free
    # Two Newton steps from the minimum move nothing, and carry the derivatives of the minimum:
    # each step doubles the order up to which they are exact.
    samples = gram.shape[-1]
    flat = gram.reshape(-1, samples, samples)
    model = _model(likelihood, codes.reshape(-1, samples))
    point = duals.flatten(0, -3), free.flatten(0, -2)
    for _ in range(2):
        point = newton_step(model, flat, *point)
    return point[0].reshape(duals.shape), point[1].reshape(free.shape)


def _model(likelihood: Likelihood, codes: Int64[Tensor, "B N"]) -> Model:
    return MODELS[likelihood.family](codes, likelihood.classes)


def _refuse_empty_classes(likelihood: Likelihood, codes: Int64[Tensor, "B N"]) -> None:
    """Without a sample of a class, its intercept or threshold has no minimum."""
    for code in range(likelihood.classes):
        if not bool((codes == code).any(1).all()):
            raise InputError(
                f"a logistic head needs samples of every class, and a support set has none of class"
                f" {code}; sample at least one shot of each, or restrict the task to the classes"
                " that are there: task.restrict(...)."
            )


class _Minimum(torch.autograd.Function):
    """`minimise` with any leading dimensions, those of `torch.func.vmap` too, without gradients."""

    @staticmethod
    def forward(gram: Tensor, codes: Tensor, likelihood: Likelihood) -> tuple[Tensor, Tensor]:
        lead, samples = gram.shape[:-2], gram.shape[-1]
        flat = codes.reshape(-1, samples)
        _refuse_empty_classes(likelihood, flat)
        model = _model(likelihood, flat)
        duals, free = minimise(model, gram.reshape(-1, samples, samples))
        return duals.reshape(*lead, *duals.shape[1:]), free.reshape(*lead, *free.shape[1:])

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def vmap(
        info: Any, in_dims: Any, gram: Tensor, codes: Tensor, likelihood: Likelihood
    ) -> tuple[Any, tuple[int, int]]:
        stack = partial(_with_lanes_in_front, info.batch_size)
        both = stack(gram, in_dims[0]), stack(codes, in_dims[1])
        minimum: Any = _Minimum.apply
        return minimum(*both, likelihood), (0, 0)


def _with_lanes_in_front(lanes: int, value: Tensor, dim: int | None) -> Tensor:
    return value.expand(lanes, *value.shape) if dim is None else value.movedim(dim, 0)
