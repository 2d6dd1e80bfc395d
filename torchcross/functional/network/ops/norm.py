"""Batch normalisation as pure functions, with a closed double backward.

y = w (x - m) r + b with r = (v + eps)^-1/2 (Ioffe & Szegedy 2015). Statistics are arguments or
results, never state.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from torchcross.functional.trees import (
    forward_mode,
    forward_over_reverse,
    inside_transform,
    refuse_third_derivative,
    summed,
)

_aten = torch.ops.aten


def _columns(value: Tensor, like: Tensor) -> Tensor:
    return value.view(1, -1, *[1] * (like.dim() - 2))


def _coefficients(value: Tensor, like: Tensor) -> Tensor:
    return _columns(value, like).to(like.dtype)


def _reduced(x: Tensor) -> list[int]:
    return [0, *range(2, x.dim())]


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel, at least in float32, differentiable to any
    order.
    """
    variance, mean = torch.var_mean(x.to(_wide(x)), _reduced(x), correction=0)
    return mean, variance


def normalise(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Tensor:
    """Normalise with the statistics given: two passes over x, differentiable to any order."""
    scale = (variance + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    shift = -mean * scale
    if bias is not None:
        shift = shift + bias
    return (x * _columns(scale, x) + _columns(shift, x)).to(x.dtype)


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        y, mean, inverse = _aten.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, inverse)
        if forward_mode():
            ctx.save_for_forward(x, weight, mean, inverse)
        ctx.eps = eps
        return cast(Tensor, y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        mask = list(ctx.needs_input_grad[:3])
        grads_in = _BatchNormBackward.apply(
            _as_laid_out(grads[0], x), x, weight, mean, inverse, mask, ctx.eps
        )  # type: ignore[no-untyped-call]
        return (*grads_in, None)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor | None:
        """The projection of the backward pass, which is symmetric."""
        x, weight, mean, inverse = ctx.saved_tensors
        d_x, d_weight, d_bias = tangents[:3]
        projected = None
        if d_x is not None:
            projected = pulled(_as_laid_out(d_x, x), x, weight, mean, inverse, ctx.eps)[0]
        return _with_affine_terms(projected, x, mean, inverse, d_weight, d_bias)


def pulled(
    gy: Tensor,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    inverse: Tensor,
    eps: float,
    *,
    data: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """(gx, gw, gb): the gradient of <gy, y>; gx is None where `data` is not asked for."""
    mask = [data, True, True]
    return cast(
        tuple[Tensor, Tensor, Tensor],
        _aten.native_batch_norm_backward(gy, x, weight, None, None, mean, inverse, True, eps, mask),
    )


class _BatchNormBackward(torch.autograd.Function):
    """gx = w r (g - mean(g) - x' mean(g x')), gw = sum(g x'), gb = sum(g), with x' = (x - m) r."""

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
        gx, gw, gb = pulled(gy, x, weight, mean, inverse, eps, data=mask[0])
        ctx.save_for_backward(gy, x, weight, mean, inverse, gw, gb)
        if forward_mode():
            ctx.save_for_forward(gy, x, weight, mean, inverse, gw, gb)
        ctx.eps, ctx.mask = eps, mask
        ctx.set_materialize_grads(False)
        return gx if mask[0] else None, gw if mask[1] else None, gb if mask[2] else None

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        refuse_third_derivative()
        u, s, t = cotangents
        gy, x, weight, mean, inverse, gw, gb = ctx.saved_tensors
        to_g, sums = None, None
        if u is not None:
            u = _as_laid_out(u, x)
            to_g, sum_ux, sum_u = pulled(u, x, weight, mean, inverse, ctx.eps)
            sums = sum_u, sum_ux, (u * gy).sum(_reduced(x), dtype=mean.dtype)
        to_x, to_weight = None, None
        if u is not None or s is not None:
            curved = curvature(gb, gw, sums, s, _count(x), weight, mean, inverse)
            to_x, to_weight = _along(curved, x, gy, u), curved.to_weight
        return (
            _with_affine_terms(to_g, x, mean, inverse, s, t),
            to_x,
            to_weight,
            None,
            None,
            None,
            None,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor | None, ...]:
        """The Hessian of <g, y> is symmetric: what `backward` sends to x and weight, and g's
        tangent pulled back.
        """
        gy, x, weight, mean, inverse, gw, gb = ctx.saved_tensors
        d_gy, u, s = tangents[:3]
        parts: list[Tensor | None] = [None, None, None]
        if d_gy is not None:
            parts = list(
                pulled(_as_laid_out(d_gy, x), x, weight, mean, inverse, ctx.eps, data=ctx.mask[0])
            )
        if u is not None or s is not None:
            u, sums = None if u is None else _as_laid_out(u, x), None
            if u is not None:
                _, sum_ux, sum_u = pulled(u, x, weight, mean, inverse, ctx.eps, data=False)
                sums = sum_u, sum_ux, (u * gy).sum(_reduced(x), dtype=mean.dtype)
            curved = curvature(gb, gw, sums, s, _count(x), weight, mean, inverse)
            parts[0] = summed(parts[0], _along(curved, x, gy, u) if ctx.mask[0] else None)
            parts[1] = summed(parts[1], curved.to_weight)
        return tuple(part if wanted else None for part, wanted in zip(parts, ctx.mask, strict=True))


class Curvature(NamedTuple):
    """What one direction does to the gradient of <g, y>: to the weight's, and to x's as
    coefficients of 1, x, g, u.
    """

    to_weight: Tensor | None
    level: Tensor
    slope: Tensor
    of_g: Tensor
    of_u: Tensor | None


def curvature(
    sum_g: Tensor,
    sum_gx: Tensor,
    sums: tuple[Tensor, Tensor, Tensor] | None,
    s: Tensor | None,
    count: int,
    weight: Tensor,
    mean: Tensor,
    inverse: Tensor,
) -> Curvature:
    """<u, gx> + <s, gw> differentiated with respect to x and the weight; `sums` are those of u, u
    x' and u g.

    With a = mean(u), c = mean(u x'), d = mean(g), e = mean(g x'), f = mean(u g):
    to weight  r n (f - a d - c e)
    to x       r (h - mean(h) - x' mean(h x')) - w r^2 (f - a d - c e) x',  h = -w r (e u + c g) + s
               g
    """
    d, e = sum_g / count, sum_gx / count
    to_weight, of_u, of_g = None, None, torch.zeros_like(d)
    mean_h = mean_hx = of_x = of_g
    if sums is not None:
        a, c, f = (total / count for total in sums)
        covariance = f - a * d - c * e
        to_weight = inverse * count * covariance
        wr = weight * inverse
        of_u, of_g = -wr * e, -wr * c
        mean_h, mean_hx, of_x = of_u * a + of_g * d, 2 * of_g * e, wr * covariance
        of_u = inverse * of_u
    if s is not None:
        of_g, mean_h, mean_hx = of_g + s, mean_h + s * d, mean_hx + s * e
    slope = -inverse * inverse * (mean_hx + of_x)
    return Curvature(to_weight, -inverse * mean_h - mean * slope, slope, inverse * of_g, of_u)


def _along(curved: Curvature, x: Tensor, gy: Tensor, u: Tensor | None) -> Tensor:
    to_x = torch.addcmul(_coefficients(curved.level, x), x, _coefficients(curved.slope, x))
    to_x.addcmul_(gy, _coefficients(curved.of_g, x))
    if curved.of_u is not None and u is not None:
        to_x.addcmul_(u, _coefficients(curved.of_u, x))
    return to_x


def _count(x: Tensor) -> int:
    return x.numel() // x.shape[1]


def _as_laid_out(value: Tensor, x: Tensor) -> Tensor:
    """`value` in the memory layout of x: kernels crawl where they differ."""
    last = (
        x.dim() == 4
        and x.is_contiguous(memory_format=torch.channels_last)
        and not x.is_contiguous()
    )
    return value.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def _with_affine_terms(
    to_g: Tensor | None,
    x: Tensor,
    mean: Tensor,
    inverse: Tensor,
    s: Tensor | None,
    t: Tensor | None,
) -> Tensor | None:
    if s is None and t is None:
        return to_g
    slope = torch.zeros_like(mean) if s is None else s * inverse
    level = -mean * slope if t is None else t - mean * slope
    if to_g is None:
        return torch.addcmul(_coefficients(level, x), x, _coefficients(slope, x))
    if s is not None:
        to_g.addcmul_(x, _coefficients(slope, x))
    return to_g.add_(_coefficients(level, x))


def batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Normalise x with its own statistics.

    `torch.nn.functional.batch_norm` serves forward over reverse alone, where it needs the least
    memory: in torch 2.13 its second derivative through an affine layer is wrong under
    `grad(vmap(grad(...)))`.
    """
    if inside_transform():
        if forward_over_reverse():
            return torch.nn.functional.batch_norm(x, None, None, weight, bias, True, 0.0, eps)
        mean, variance = moments(x)
        return normalise(x, mean, variance, weight, bias, eps)
    if weight is None:
        weight = torch.ones(x.shape[1], dtype=_wide(x), device=x.device)
    if bias is None:
        bias = torch.zeros_like(weight)
    return cast(Tensor, _BatchNorm.apply(x, weight, bias, eps))  # type: ignore[no-untyped-call]
