"""Batch normalisation that hands back the statistics it was done with: one pass over x instead of
two.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from torchcross.functional.network.ops.norm import (
    _as_laid_out,
    _BatchNormBackward,
    _columns,
    _wide,
    batch_norm,
    moments,
)
from torchcross.functional.trees import forward_mode, inside_transform

_aten = torch.ops.aten


class _TrackedBatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean, unbiased = (
            torch.zeros(x.shape[1], dtype=_wide(x), device=x.device) for _ in range(2)
        )
        # With momentum 1 the running statistics are those of the batch.
        y, kept_mean, inverse = _aten.native_batch_norm(
            x, weight, bias, mean, unbiased, True, 1.0, eps
        )
        count = x.numel() // x.shape[1]
        ctx.save_for_backward(x, weight, kept_mean, inverse)
        ctx.eps = eps
        ctx.set_materialize_grads(False)
        return cast(Tensor, y), mean, unbiased * ((count - 1) / count)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        to_x, to_weight, to_bias = None, None, None
        mask = list(ctx.needs_input_grad[:3])
        if grads[0] is not None:
            gy = _as_laid_out(grads[0], x)
            to_x, to_weight, to_bias = _BatchNormBackward.apply(
                gy, x, weight, mean, inverse, mask, ctx.eps
            )  # type: ignore[no-untyped-call]
        if mask[0] and (grads[1] is not None or grads[2] is not None):
            of_moments = _pulled_through_moments(x, grads[1], grads[2])
            to_x = of_moments if to_x is None else to_x + of_moments
        return to_x, to_weight, to_bias, None


def _pulled_through_moments(
    x: Tensor, of_mean: Tensor | None, of_variance: Tensor | None
) -> Tensor:
    """<s, mean> + <t, variance> differentiated by x: (s + 2 t (x - mean)) / n, differentiable once
    more.
    """
    count = x.numel() // x.shape[1]
    pulled = (
        torch.zeros_like(x)
        if of_mean is None
        else (_columns(of_mean, x) / count).to(x.dtype).expand_as(x)
    )
    if of_variance is not None:
        mean, _ = moments(x)
        pulled = pulled + (2 / count * _columns(of_variance, x) * (x - _columns(mean, x))).to(
            x.dtype
        )
    return pulled


def tracked_batch_norm(
    x: Float[Tensor, "N C *places"],
    weight: Float[Tensor, " C"] | None,
    bias: Float[Tensor, " C"] | None,
    eps: float,
) -> tuple[Float[Tensor, "N C *places"], Float[Tensor, " C"], Float[Tensor, " C"]]:
    """(x normalised with its own statistics, mean, biased variance); differentiable twice in all
    three.
    """
    if inside_transform() or forward_mode() or weight is None or bias is None:
        return batch_norm(x, weight, bias, eps), *moments(x)
    return cast("tuple[Tensor, Tensor, Tensor]", _TrackedBatchNorm.apply(x, weight, bias, eps))  # type: ignore[no-untyped-call]
