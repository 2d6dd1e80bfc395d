"""Batch normalisation that returns the statistics of x as well: one pass over x instead of two."""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from torchcross.functional.network.ops.custom_functions import have_tangents
from torchcross.functional.network.ops.layout import (
    channel_view,
    match_layout,
    statistics_dtype,
    values_per_channel,
)
from torchcross.functional.network.ops.norm import BatchNormBackward, batch_norm, moments
from torchcross.functional.trees import inside_transform

_aten = torch.ops.aten


class _TrackedBatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean = torch.zeros(x.shape[1], dtype=statistics_dtype(x), device=x.device)
        unbiased = torch.zeros_like(mean)
        # With momentum 1 the running statistics are those of the batch.
        y, saved_mean, inverse = _aten.native_batch_norm(
            x, weight, bias, mean, unbiased, True, 1.0, eps
        )
        count = values_per_channel(x)
        ctx.save_for_backward(x, weight, saved_mean, inverse)
        ctx.eps = eps
        ctx.set_materialize_grads(False)
        return cast(Tensor, y), mean, unbiased * ((count - 1) / count)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        of_y, of_mean, of_variance = grads
        tensors, mask = ctx.saved_tensors, list(ctx.needs_input_grad[:3])
        x = tensors[0]
        to_x, to_weight, to_bias = None, None, None
        if of_y is not None:
            gy = match_layout(of_y, x)
            to_x, to_weight, to_bias = BatchNormBackward.apply(gy, *tensors, mask, ctx.eps)  # type: ignore[no-untyped-call]
        if mask[0] and (of_mean is not None or of_variance is not None):
            of_moments = _pull_through_moments(x, of_mean, of_variance)
            to_x = of_moments if to_x is None else to_x + of_moments
        return to_x, to_weight, to_bias, None


def _pull_through_moments(x: Tensor, s: Tensor | None, t: Tensor | None) -> Tensor:
    """<s, mean> + <t, variance> differentiated by x, once more differentiable.

    That is (s + 2 t (x - mean)) / n.
    """
    count = values_per_channel(x)
    if s is None:
        to_x = torch.zeros_like(x)
    else:
        to_x = (channel_view(s, x) / count).to(x.dtype).expand_as(x)
    if t is not None:
        # Computed anew, for the saved mean is a constant: its own derivative would be missing.
        mean, _ = moments(x)
        to_x = to_x + (2 / count * channel_view(t, x) * (x - channel_view(mean, x))).to(x.dtype)
    return to_x


def tracked_batch_norm(
    x: Float[Tensor, "N C *places"],
    weight: Float[Tensor, " C"] | None,
    bias: Float[Tensor, " C"] | None,
    eps: float,
) -> tuple[Float[Tensor, "N C *places"], Float[Tensor, " C"], Float[Tensor, " C"]]:
    """(x normalised, mean, biased variance), with x's own statistics.

    Differentiable twice in all three.
    """
    if inside_transform() or weight is None or bias is None or have_tangents(x, weight, bias):
        return batch_norm(x, weight, bias, eps), *moments(x)
    # The kernel takes weights of the statistics' dtype, which is wider than that of a half module.
    weight, bias = weight.to(statistics_dtype(x)), bias.to(statistics_dtype(x))
    return cast("tuple[Tensor, Tensor, Tensor]", _TrackedBatchNorm.apply(x, weight, bias, eps))  # type: ignore[no-untyped-call]
