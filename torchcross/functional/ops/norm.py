"""Batch normalisation as pure functions, with a closed double backward.

y = w (x - m) r + b with r = (v + eps)^-1/2 (Ioffe & Szegedy 2015). Statistics are arguments or results,
never state.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from torchcross.functional._types import forward_over_reverse, inside_transform, refuse_third_derivative

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
    """Mean and biased variance of each channel, at least in float32, differentiable to any order."""
    variance, mean = torch.var_mean(x.to(_wide(x)), _reduced(x), correction=0)
    return mean, variance


def normalise(
    x: Tensor, mean: Tensor, variance: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
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
        ctx.eps = eps
        return cast(Tensor, y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, inverse = ctx.saved_tensors
        mask = list(ctx.needs_input_grad[:3])
        grads_in = _BatchNormBackward.apply(_as_laid_out(grads[0], x), x, weight, mean, inverse, mask, ctx.eps)  # type: ignore[no-untyped-call]
        return (*grads_in, None)


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
        gx, gw, gb = _aten.native_batch_norm_backward(
            gy, x, weight, None, None, mean, inverse, True, eps, [mask[0], True, True]
        )
        ctx.save_for_backward(gy, x, weight, mean, inverse, gw, gb)
        ctx.eps = eps
        ctx.set_materialize_grads(False)
        return gx if mask[0] else None, gw if mask[1] else None, gb if mask[2] else None

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        """<u, gx> + <s, gw> + <t, gb>, differentiated with respect to g, x and the weight.

        With a = mean(u), c = mean(u x'), d = mean(g), e = mean(g x'), f = mean(u g):
        to g       w r (u - a - c x') + s x' + t
        to weight  r n (f - a d - c e)
        to x       r (h - mean(h) - x' mean(h x')) - w r^2 (f - a d - c e) x',  h = -w r (e u + c g) + s g
        """
        refuse_third_derivative()
        u, s, t = cotangents
        gy, x, weight, mean, inverse, gw, gb = ctx.saved_tensors
        u = None if u is None else _as_laid_out(u, x)
        n = x.numel() // x.shape[1]
        d, e = gb / n, gw / n
        to_g, to_x, to_weight = None, None, None
        if u is not None:
            to_g, sum_ux, sum_u = _aten.native_batch_norm_backward(
                u, x, weight, None, None, mean, inverse, True, ctx.eps, [True, True, True]
            )
            a, c = sum_u / n, sum_ux / n
            covariance = (u * gy).sum(_reduced(x), dtype=mean.dtype) / n - a * d - c * e
            to_weight = inverse * n * covariance
            wr = weight * inverse
            of_u, of_g = -wr * e, -wr * c
            mean_h, mean_hx, of_x = of_u * a + of_g * d, 2 * of_g * e, weight * inverse * covariance
        else:
            of_u, of_g = None, torch.zeros_like(d)
            mean_h, mean_hx, of_x = torch.zeros_like(d), torch.zeros_like(d), torch.zeros_like(d)
        if s is not None:
            of_g, mean_h, mean_hx = of_g + s, mean_h + s * d, mean_hx + s * e
        to_g = _with_affine_terms(to_g, x, mean, inverse, s, t)
        if u is not None or s is not None:
            slope = -inverse * inverse * (mean_hx + of_x)
            level = -inverse * mean_h - mean * slope
            to_x = torch.addcmul(_coefficients(level, x), x, _coefficients(slope, x))
            to_x.addcmul_(gy, _coefficients(inverse * of_g, x))
            if of_u is not None and u is not None:
                to_x.addcmul_(u, _coefficients(inverse * of_u, x))
        return to_g, to_x, to_weight, None, None, None, None


def _as_laid_out(value: Tensor, x: Tensor) -> Tensor:
    """`value` in the memory layout of x: kernels crawl where they differ."""
    last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return value.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


def _with_affine_terms(
    to_g: Tensor | None, x: Tensor, mean: Tensor, inverse: Tensor, s: Tensor | None, t: Tensor | None
) -> Tensor | None:
    if s is None and t is None:
        return to_g
    slope = torch.zeros_like(mean) if s is None else s * inverse
    level = -mean * slope if t is None else t - mean * slope
    extra = torch.addcmul(_coefficients(level, x), x, _coefficients(slope, x))
    return extra if to_g is None else to_g.add_(extra)


def batch_norm(x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Tensor:
    """Normalise x with its own statistics.

    `torch.nn.functional.batch_norm` serves forward over reverse alone, where it needs the least memory: in
    torch 2.13 its second derivative through an affine layer is wrong under `grad(vmap(grad(...)))`.
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
