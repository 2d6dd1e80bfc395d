"""Penalised convex fits by Newton's method, many at once, in the span of the samples.

By hand, because scikit-learn and scipy fit one problem at a time and have no cumulative link.

Each of B problems minimises over `duals` a (a row for each score) and `free` parameters b

    J(a, b) = sum of losses of the scores f = a K, and b  +  1/2 sum of a K a'

with K = C x (Gram matrix of the features). The weights are C a X: the minimum of an L2-penalised
convex loss lies in the span of the samples. C weighs the sum of the losses, as in scikit-learn;
nothing penalises b.
"""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchcross.errors import DivergenceError

TOLERANCE = 1e-9
"""Where a fit is converged: largest element of the gradient, or change of a score by a Newton step.

The gradient is that of each sample's loss and penalty, along each sample's features, and to the
free parameters. Where K is large, rounding keeps it above this, and the step, which is what the
scores still lack, tells. Scores and the gradient along features count relative to the largest
score.
"""
STEPS = 100
"""Newton steps after which a fit that has not converged is an error."""
APPROXIMATE_STEPS = 20
"""Steps after which all are exact: a fit that still moves is one that approximations do not end."""
_HALVINGS = 50
# What a step must gain of what its slope promises.
_ARMIJO = 1e-4


class Model(Protocol):
    """The losses of B problems in their scores and free parameters, with what Newton needs."""

    def start(self, gram: Float[Tensor, "B N N"]) -> tuple[Tensor, Tensor]:
        """Duals (B, R, N) and free parameters (B, P) where the losses are finite."""

    def loss(
        self, scores: Float[Tensor, "B R N"], free: Float[Tensor, "B P"]
    ) -> Float[Tensor, " B"]:
        """The summed loss of each problem; infinite outside its domain."""

    def gradients(
        self, scores: Float[Tensor, "B R N"], free: Float[Tensor, "B P"]
    ) -> tuple[Tensor, Tensor]:
        """The gradients of the loss to the scores and to the free parameters."""

    def direction(
        self,
        gram: Float[Tensor, "B N N"],
        scores: Float[Tensor, "B R N"],
        free: Float[Tensor, "B P"],
        residual: Float[Tensor, "B R N"],
        pull: Float[Tensor, "B R N"],
        slope: Float[Tensor, "B P"],
    ) -> tuple[Tensor, Tensor]:
        """The Newton step of duals and free parameters.

        `residual` is a + gradient to the scores, `pull` is residual K, and `slope` the gradient to
        the free parameters.
        """

    def search_direction(
        self,
        gram: Float[Tensor, "B N N"],
        scores: Float[Tensor, "B R N"],
        free: Float[Tensor, "B P"],
        residual: Float[Tensor, "B R N"],
        pull: Float[Tensor, "B R N"],
        slope: Float[Tensor, "B P"],
    ) -> tuple[Tensor, Tensor, Bool[Tensor, " B"]]:
        """An approximation of `direction`, closer near the minimum. It cannot be differentiated.

        With it, whether that of each problem can be used.
        """

    def of(self, chosen: Tensor) -> Model:
        """The model of some of the problems."""


def newton_step(model: Model, gram: Tensor, duals: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """The point after one full Newton step; differentiable."""
    scores = duals @ gram
    to_scores, to_free = model.gradients(scores, free)
    residual = duals + to_scores
    move, shift = model.direction(gram, scores, free, residual, residual @ gram, to_free)
    return duals + move, free + shift


@torch.no_grad()
def minimise(model: Model, gram: Float[Tensor, "B N N"]) -> tuple[Tensor, Tensor]:
    """The duals (B, R, N) and free parameters (B, P) of the minimum of each problem.

    Newton steps, each halved until the objective falls. Problems that have converged leave.
    """
    refuse_infinite(gram)
    duals, free = model.start(gram)
    results = duals.clone(), free.clone()
    places = torch.arange(len(gram), device=gram.device)
    step = torch.full_like(gram[:, 0, 0], torch.inf)
    may_approximate = torch.ones_like(places, dtype=torch.bool)
    for number in range(STEPS):
        scores = duals @ gram
        to_scores, to_free = model.gradients(scores, free)
        residual = duals + to_scores
        pull = residual @ gram
        sizes = gradient_size(residual, pull, to_free, scores)
        largest = float(sizes.max())
        ahead = torch.minimum(sizes, step) > TOLERANCE
        if not bool(ahead.all()):
            results[0][places[~ahead]], results[1][places[~ahead]] = duals[~ahead], free[~ahead]
            if not bool(ahead.any()):
                return results
            places, gram, model = places[ahead], gram[ahead], model.of(ahead)
            duals, may_approximate = duals[ahead], may_approximate[ahead]
            free, scores, residual, pull, to_free = (
                value[ahead] for value in (free, scores, residual, pull, to_free)
            )
        may_approximate &= number < APPROXIMATE_STEPS
        move, shift, may_approximate = _search_direction(
            model, (gram, scores, free, residual, pull, to_free), may_approximate
        )
        duals, free, step = _line_search(
            model, gram, (duals, free, scores), (move, shift), (pull, to_free)
        )
    raise DivergenceError(_explanation(len(gram), len(results[0]), largest))


def _search_direction(
    model: Model, parts: tuple[Tensor, ...], may_approximate: Bool[Tensor, " B"]
) -> tuple[Tensor, Tensor, Bool[Tensor, " B"]]:
    """Where to search, and which problems may approximate that in the next step.

    A problem whose approximation cannot be used has exact steps from then on: the next ones would
    most likely be no better, and cost more than exact steps.
    """
    if not bool(may_approximate.any()):
        return *model.direction(*parts), may_approximate
    if bool(may_approximate.all()):
        move, shift, can_be_used = model.search_direction(*parts)
    else:
        *_, residual, _, slope = parts
        move, shift = torch.empty_like(residual), torch.empty_like(slope)
        can_be_used = may_approximate.clone()
        some = (part[may_approximate] for part in parts)
        move[may_approximate], shift[may_approximate], can_be_used[may_approximate] = model.of(
            may_approximate
        ).search_direction(*some)
    if not bool(can_be_used.all()):
        rest = ~can_be_used
        move[rest], shift[rest] = model.of(rest).direction(*(part[rest] for part in parts))
    return move, shift, can_be_used


def gradient_size(
    residual: Tensor, pull: Tensor, slope: Tensor, scores: Tensor
) -> Float[Tensor, " B"]:
    """How far each problem is from its minimum; NaN counts as infinitely far."""
    along = pull.abs().amax((1, 2)) / _scale(scores)
    size = torch.stack([residual.abs().amax((1, 2)), along, slope.abs().amax(1)]).amax(0)
    return torch.where(size.isnan(), torch.inf, size)


def _scale(scores: Tensor) -> Float[Tensor, " B"]:
    return scores.abs().amax((1, 2)).clamp(min=1)


def _line_search(
    model: Model,
    gram: Tensor,
    point: tuple[Tensor, Tensor, Tensor],
    direction: tuple[Tensor, Tensor],
    gradient: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """The first of the points 1, 1/2, 1/4, ... of the way that lowers the objective enough.

    Returned with the change of scores and free parameters by the whole way.
    """
    duals, free, scores = point
    (move, shift), (pull, slope) = direction, gradient
    score_move = move @ gram
    now = model.loss(scores, free) + (duals * scores).sum((1, 2)) / 2
    promised = (pull * move).sum((1, 2)) + (slope * shift).sum(1)
    # Near the minimum differences of the objective are rounding.
    slack = 1e-12 * (1 + now.abs())
    part = torch.ones_like(now)
    for _ in range(_HALVINGS):
        wide = part[:, None, None]
        there, scores_there = duals + wide * move, scores + wide * score_move
        free_there = free + part[:, None] * shift
        value = model.loss(scores_there, free_there) + (there * scores_there).sum((1, 2)) / 2
        good = value <= now + _ARMIJO * part * promised + slack
        if bool(good.all()):
            break
        part = torch.where(good, part, part / 2)
    change = torch.maximum(score_move.abs().amax((1, 2)), shift.abs().amax(1))
    return there, free_there, change / _scale(scores)


def refuse_infinite(gram: Float[Tensor, "B N N"]) -> None:
    """Refuse features whose squares are not finite, and name the images of the first problem."""
    broken = ~gram.diagonal(dim1=-2, dim2=-1).isfinite()
    if not bool(broken.any()):
        return
    first = int(broken.any(1).nonzero()[0])
    images = ", ".join(map(str, broken[first].nonzero().flatten().tolist()[:10]))
    raise DivergenceError(
        "a logistic head cannot be fitted: the features of these images of a support set are NaN,"
        f" infinite or too large to square (positions, at most ten are named): {images}. Repair the"
        " images, or take a backbone with finite weights."
    )


def _explanation(left: int, total: int, largest: float) -> str:
    return (
        f"{left} of {total} logistic fits did not converge in {STEPS} Newton steps: the gradient is"
        f" {largest:.1e}, and at most {TOLERANCE:.0e} is asked for. Give a smaller C, which"
        " penalises more, or features of unit length."
    )
