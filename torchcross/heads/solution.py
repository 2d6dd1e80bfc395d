"""The solutions of converged heads, as functions that lanes and derivatives can pass through."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from torchcross.errors import InputError
from torchcross.heads.likelihood_models import MODELS, SoftmaxModel
from torchcross.heads.newton import Model, minimise, newton_step
from torchcross.targets.likelihood import Likelihood


def solution(
    likelihood: Likelihood,
    gram: Float[Tensor, "*B N N"],
    codes: Int64[Tensor, "*B N"],
    prior: Float[Tensor, "*B R N"] | None = None,
    *,
    to_rounding: bool = False,
) -> tuple[Float[Tensor, "*B R N"], Float[Tensor, "*B P"]]:
    """The duals and free parameters of each problem; see `newton`. `gram` is K.

    With a `prior` the scores of the softmax over classes are added to these, without intercepts: a
    class may then have no sample. Differentiable in `gram` and `prior`, up to the third derivative,
    where gradients are recorded. There, and with `to_rounding`, the minimum is exact to rounding.
    """
    minimum: Any = _Minimum.apply
    known = None if prior is None else prior.detach()
    duals, free = minimum(gram.detach(), codes, known, likelihood)
    if not (to_rounding or torch.is_grad_enabled()):
        return duals, free
    # Two Newton steps from the minimum move nothing but its last digits, and carry its derivatives:
    # each step doubles the order up to which they are exact.
    samples = gram.shape[-1]
    flat = gram.reshape(-1, samples, samples)
    model = _model(likelihood, codes.reshape(-1, samples), prior)
    point = duals.flatten(0, -3), free.flatten(0, -2)
    for _ in range(2):
        point = newton_step(model, flat, *point)
    return point[0].reshape(duals.shape), point[1].reshape(free.shape)


def _model(
    likelihood: Likelihood, codes: Int64[Tensor, "B N"], prior: Float[Tensor, "*B R N"] | None
) -> Model:
    if prior is None:
        return MODELS[likelihood.family](codes, likelihood.classes)
    flat = prior.reshape(-1, *prior.shape[-2:])
    return SoftmaxModel.of_codes(codes, likelihood.classes, flat)


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
    def forward(
        gram: Tensor, codes: Tensor, prior: Tensor | None, likelihood: Likelihood
    ) -> tuple[Tensor, Tensor]:
        lead, samples = gram.shape[:-2], gram.shape[-1]
        flat = codes.reshape(-1, samples)
        if prior is None:
            _refuse_empty_classes(likelihood, flat)
        model = _model(likelihood, flat, prior)
        duals, free = minimise(model, gram.reshape(-1, samples, samples))
        return duals.reshape(*lead, *duals.shape[1:]), free.reshape(*lead, *free.shape[1:])

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.mark_non_differentiable(*output)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: Any,
        gram: Tensor,
        codes: Tensor,
        prior: Tensor | None,
        likelihood: Likelihood,
    ) -> tuple[Any, tuple[int, int]]:
        stack = partial(_with_lanes_in_front, info.batch_size)
        both = stack(gram, in_dims[0]), stack(codes, in_dims[1])
        known = None if prior is None else stack(prior, in_dims[2])
        minimum: Any = _Minimum.apply
        return minimum(*both, known, likelihood), (0, 0)


def _with_lanes_in_front(lanes: int, value: Tensor, dim: int | None) -> Tensor:
    return value.expand(lanes, *value.shape) if dim is None else value.movedim(dim, 0)
