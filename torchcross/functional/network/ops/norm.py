"""Batch normalisation as pure functions, with a closed double backward.

y = w (x - m) r + b with r = (v + eps)^-1/2 (Ioffe & Szegedy 2015). Statistics are arguments or
results, never state. Below, x' = (x - m) r, and sums and means run over all axes but the channels.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from torchcross.functional.network.ops.custom_functions import (
    add_terms,
    is_forward_over_reverse,
    refuse_third_derivative,
    save_for_derivatives,
)
from torchcross.functional.network.ops.layout import (
    all_but_channels,
    channel_coefficients,
    channel_view,
    match_layout,
    statistics_dtype,
    values_per_channel,
)
from torchcross.functional.trees import inside_transform

_aten = torch.ops.aten


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel, at least in float32; any derivative exists."""
    wide = x.to(statistics_dtype(x))
    variance, mean = torch.var_mean(wide, all_but_channels(x), correction=0)
    return mean, variance


def normalise(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Tensor:
    """Normalise with these statistics: two passes over x, differentiable to any order."""
    scale = (variance + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias
    return (x * channel_view(scale, x) + channel_view(shift, x)).to(x.dtype)


class NormInputs(NamedTuple):
    """Where a normalisation is differentiated; `inverse` is r, one over the standard deviation."""

    x: Tensor
    weight: Tensor
    mean: Tensor
    inverse: Tensor
    eps: float

    def gradients(self, gy: Tensor, *, data: bool = True) -> tuple[Tensor, Tensor, Tensor]:
        """(gx, gw, gb): the gradient of <gy, y>; gx is None where `data` is not asked for.

        gx = w r (g - mean(g) - x' mean(g x')), gw = sum(g x'), gb = sum(g). As a map of g, gx is
        symmetric: it is also how y moves with x.
        """
        x, weight, mean, inverse, eps = self
        mask = [data, True, True]
        return cast(
            tuple[Tensor, Tensor, Tensor],
            _aten.native_batch_norm_backward(
                gy, x, weight, None, None, mean, inverse, True, eps, mask
            ),
        )

    def add_affine_terms(
        self, total: Tensor | None, s: Tensor | None, t: Tensor | None
    ) -> Tensor | None:
        """`total` + s x' + t, written over `total`: how y moves with the weight and the bias."""
        if s is None and t is None:
            return total
        slope = torch.zeros_like(self.mean) if s is None else s * self.inverse
        level = -self.mean * slope if t is None else t - self.mean * slope
        x = self.x
        if total is None:
            return torch.addcmul(channel_coefficients(level, x), x, channel_coefficients(slope, x))
        if s is not None:
            total.addcmul_(x, channel_coefficients(slope, x))
        return total.add_(channel_coefficients(level, x))


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        y, mean, inverse = _aten.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        save_for_derivatives(ctx, x, weight, mean, inverse)
        ctx.eps = eps
        return cast(Tensor, y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        tensors, mask = ctx.saved_tensors, list(ctx.needs_input_grad[:3])
        gy = match_layout(grads[0], tensors[0])
        return (*BatchNormBackward.apply(gy, *tensors, mask, ctx.eps), None)  # type: ignore[no-untyped-call]

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor | None:
        inputs = NormInputs(*(*ctx.saved_tensors, ctx.eps))
        d_x, d_weight, d_bias = tangents[:3]
        total = None if d_x is None else inputs.gradients(match_layout(d_x, inputs.x))[0]
        return inputs.add_affine_terms(total, d_weight, d_bias)


class BatchNormBackward(torch.autograd.Function):
    """(gx, gw, gb) of `NormInputs.gradients`, differentiable once more."""

    @staticmethod
    def forward(
        ctx: Any,
        gy: Tensor,
        x: Tensor,
        weight: Tensor,
        mean: Tensor,
        inverse: Tensor,
        mask: list[bool],
        eps: float,
    ) -> tuple[Tensor | None, ...]:
        grads = NormInputs(x, weight, mean, inverse, eps).gradients(gy, data=mask[0])
        save_for_derivatives(ctx, gy, x, weight, mean, inverse, *grads[1:])
        ctx.eps, ctx.mask = eps, mask
        ctx.set_materialize_grads(False)
        return tuple(grad if wanted else None for grad, wanted in zip(grads, mask, strict=True))

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        refuse_third_derivative()
        u, s, t = cotangents
        gy, *tensors, gw, gb = ctx.saved_tensors
        inputs = NormInputs(*(*tensors, ctx.eps))
        to_g, to_x, to_weight = _second_derivatives(inputs, gy, gw, gb, u, s)
        return inputs.add_affine_terms(to_g, s, t), to_x, to_weight, None, None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor | None, ...]:
        """The Hessian of <g, y> is symmetric: u and s move (gx, gw) as `backward` sends them.

        To that, g's own tangent is pulled back.
        """
        gy, *tensors, gw, gb = ctx.saved_tensors
        inputs, mask = NormInputs(*(*tensors, ctx.eps)), ctx.mask
        d_gy, u, s = tangents[:3]
        parts: list[Tensor | None] = [None, None, None]
        if d_gy is not None:
            parts = list(inputs.gradients(match_layout(d_gy, inputs.x), data=mask[0]))
        _, to_x, to_weight = _second_derivatives(
            inputs, gy, gw, gb, u, s, want_g=False, want_x=mask[0]
        )
        parts[0], parts[1] = add_terms(parts[0], to_x), add_terms(parts[1], to_weight)
        return tuple(part if wanted else None for part, wanted in zip(parts, mask, strict=True))


def _second_derivatives(
    inputs: NormInputs,
    gy: Tensor,
    gw: Tensor,
    gb: Tensor,
    u: Tensor | None,
    s: Tensor | None,
    *,
    want_g: bool = True,
    want_x: bool = True,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """<u, gx> + <s, gw> differentiated by g (the part of u alone), x and the weight."""
    if u is None and s is None:
        return None, None, None
    x, to_g, sums = inputs.x, None, None
    if u is not None:
        u = match_layout(u, x)
        to_g, sum_ux, sum_u = inputs.gradients(u, data=want_g)
        sums = sum_u, sum_ux, (u * gy).sum(all_but_channels(x), dtype=inputs.mean.dtype)
    curved = curvature(inputs, gb, gw, sums, s)
    if not want_x:
        return to_g, None, curved.to_weight
    to_x = curved.start(x).addcmul_(gy, channel_coefficients(curved.of_g, x))
    return to_g, curved.add_u(to_x, u), curved.to_weight


class Curvature(NamedTuple):
    """How a direction moves the gradient of <g, y>: by the weight, and by x.

    The latter is level + slope x + of_g g + of_u u, with one coefficient for each channel.
    """

    to_weight: Tensor | None
    level: Tensor
    slope: Tensor
    of_g: Tensor
    of_u: Tensor | None

    def start(self, x: Tensor) -> Tensor:
        """Level + slope x, a new tensor."""
        level, slope = channel_coefficients(self.level, x), channel_coefficients(self.slope, x)
        return torch.addcmul(level, x, slope)

    def add_u(self, to_x: Tensor, u: Tensor | None) -> Tensor:
        """`to_x` + of_u u, written over `to_x`."""
        if self.of_u is None or u is None:
            return to_x
        return to_x.addcmul_(u, channel_coefficients(self.of_u, to_x))


def curvature(
    inputs: NormInputs,
    sum_g: Tensor,
    sum_gx: Tensor,
    sums: tuple[Tensor, Tensor, Tensor] | None,
    s: Tensor | None,
) -> Curvature:
    """<u, gx> + <s, gw> differentiated by x and the weight; `sums` are those of u, u x' and u g.

    With a = mean(u), c = mean(u x'), d = mean(g), e = mean(g x'), f = mean(u g):
    to weight  r n (f - a d - c e)
    to x       r (h - mean(h) - x' mean(h x')) - w r^2 (f - a d - c e) x'
               with h = -w r (e u + c g) + s g
    """
    count, inverse = values_per_channel(inputs.x), inputs.inverse
    d, e = sum_g / count, sum_gx / count
    to_weight, of_u, of_g = None, None, torch.zeros_like(d)
    mean_h = mean_hx = of_x = of_g
    if sums is not None:
        a, c, f = (total / count for total in sums)
        covariance = f - a * d - c * e
        to_weight = inverse * count * covariance
        wr = inputs.weight * inverse
        of_u, of_g = -wr * e, -wr * c
        # mean(h x') = of_u c + of_g e, and of_u c = -w r e c = of_g e.
        mean_h, mean_hx, of_x = of_u * a + of_g * d, 2 * of_g * e, wr * covariance
        of_u = inverse * of_u
    if s is not None:
        of_g, mean_h, mean_hx = of_g + s, mean_h + s * d, mean_hx + s * e
    # In terms of x, not x' = (x - m) r: one tensor less to write.
    slope = -inverse * inverse * (mean_hx + of_x)
    level = -inverse * mean_h - inputs.mean * slope
    return Curvature(to_weight, level, slope, inverse * of_g, of_u)


def batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Normalise x with its own statistics.

    `torch.nn.functional.batch_norm` serves forward over reverse alone, where it needs the least
    memory: in torch 2.13 its second derivative through an affine layer is wrong under
    `grad(vmap(grad(...)))`.
    """
    if inside_transform():
        if is_forward_over_reverse():
            return torch.nn.functional.batch_norm(x, None, None, weight, bias, True, 0.0, eps)
        mean, variance = moments(x)
        return normalise(x, mean, variance, weight, bias, eps)
    if weight is None:
        weight = torch.ones(x.shape[1], dtype=statistics_dtype(x), device=x.device)
    if bias is None:
        bias = torch.zeros_like(weight)
    return cast(Tensor, _BatchNorm.apply(x, weight, bias, eps))  # type: ignore[no-untyped-call]
