"""Batch normalisation, max-pooling and ReLU in one, with a closed double backward.

The gradient that reaches the normalised images is zero except where a window had its maximum. So
sums over it are sums over the pooled images: of the large images only x is read, and only the
result is written. Kept for the backward pass are x and the places of the maxima.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from torchcross.functional.network.ops.custom_functions import (
    add_terms,
    refuse_third_derivative,
    save_for_derivatives,
)
from torchcross.functional.network.ops.layout import (
    all_but_channels,
    channel_coefficients,
    channel_view,
    is_channels_last,
    match_layout,
    statistics_dtype,
    values_per_channel,
)
from torchcross.functional.network.ops.norm import NormInputs, batch_norm, curvature
from torchcross.functional.trees import inside_transform

_aten = torch.ops.aten

_INDICES_AT_A_TIME = 1 << 17
"""Whole-number indices take 8 bytes each: only so many are alive at once."""


class PoolingWindow(NamedTuple):
    """The windows over which maxima are taken."""

    size: list[int]
    stride: list[int]
    padding: list[int]
    dilation: list[int]
    ceil: bool

    @classmethod
    def of(cls, layer: nn.MaxPool2d) -> PoolingWindow:
        size, stride, padding, dilation = (
            [value, value] if isinstance(value, int) else list(value)
            for value in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        )
        return cls(size, stride, padding, dilation, layer.ceil_mode)


class _Maxima(NamedTuple):
    """The maxima: their places, and which of them the ReLU lets through."""

    at: Tensor
    is_open: Tensor

    def gather(self, large: Tensor) -> Tensor:
        """The values of `large` where the maxima were."""
        last = is_channels_last(large)
        flat, at = _flatten(large, last=last), _flatten(self.at, last=last)
        return _unflatten(torch.gather(flat, 1, at.long()), self.at.shape, last=last)

    def scatter_add(self, into: Tensor, small: Tensor, factor: Tensor) -> Tensor:
        """`into` with `factor * small` added where the maxima were, a few images at a time."""
        last = is_channels_last(into)
        large, at, small = (_flatten(value, last=last) for value in (into, self.at, small))
        if not last:
            # Here each channel of each image is a row of its own.
            factor = factor.repeat(into.shape[0]).unsqueeze(1)
        few = max(1, _INDICES_AT_A_TIME // at[0].numel())
        for first in range(0, len(at), few):
            rows = slice(first, first + few)
            scaled = small[rows] * (factor if last else factor[rows])
            large[rows].scatter_add_(1, at[rows].long(), scaled)
        return _unflatten(large, into.shape, last=last)


def _flatten(x: Tensor, *, last: bool) -> Tensor:
    """Places along axis 1, and along the last axis what is adjacent in memory."""
    return x.permute(0, 2, 3, 1).flatten(1, 2) if last else x.reshape(-1, x.shape[2] * x.shape[3])


def _unflatten(flat: Tensor, shape: torch.Size, *, last: bool) -> Tensor:
    images, channels, height, width = shape
    if last:
        return flat.view(images, height, width, channels).permute(0, 3, 1, 2)
    return flat.view(shape)


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, window: PoolingWindow
    ) -> Tensor:
        y, mean, inverse = _aten.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        top, at = _aten.max_pool2d_with_indices(y, *window)
        at = at.to(torch.int32)
        out = top.relu_()
        save_for_derivatives(ctx, x, weight, mean, inverse, at, out > 0)
        ctx.eps = eps
        return cast(Tensor, out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        mask = list(ctx.needs_input_grad[:3])
        grads_in = _PooledBackward.apply(grads[0], *ctx.saved_tensors, mask, ctx.eps)  # type: ignore[no-untyped-call]
        return *grads_in, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor | None:
        *tensors, at, is_open = ctx.saved_tensors
        inputs, maxima = NormInputs(*(*tensors, ctx.eps)), _Maxima(at, is_open)
        d_x, d_weight, d_bias = tangents[:3]
        return _output_tangent(maxima, inputs, _direction(d_x, inputs), d_weight, d_bias)


class _PooledBackward(torch.autograd.Function):
    """As `BatchNormBackward`, of a gradient G that is scattered from the maxima."""

    @staticmethod
    def forward(
        ctx: Any,
        g: Tensor,
        x: Tensor,
        weight: Tensor,
        mean: Tensor,
        inverse: Tensor,
        at: Tensor,
        is_open: Tensor,
        mask: list[bool],
        eps: float,
    ) -> tuple[Tensor | None, ...]:
        inputs, maxima = NormInputs(x, weight, mean, inverse, eps), _Maxima(at, is_open)
        g = g * is_open
        sum_g, sum_gx = _sums(g, maxima, inputs)
        gx = _input_gradient(g, maxima, inputs, sum_g, sum_gx) if mask[0] else None
        save_for_derivatives(ctx, g, x, weight, mean, inverse, at, is_open, sum_g, sum_gx)
        ctx.eps, ctx.mask = eps, mask
        ctx.set_materialize_grads(False)
        parts = (gx, sum_gx, sum_g)
        return tuple(part if wanted else None for part, wanted in zip(parts, mask, strict=True))

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        refuse_third_derivative()
        g, *tensors, at, is_open, sum_g, sum_gx = ctx.saved_tensors
        inputs, maxima = NormInputs(*(*tensors, ctx.eps)), _Maxima(at, is_open)
        u, s, t = cotangents
        direction = _direction(u, inputs)
        to_g = _output_tangent(maxima, inputs, direction, s, t)
        to_x, to_weight = _second_derivatives(g, maxima, inputs, direction, s, sum_g, sum_gx)
        return to_g, to_x, to_weight, *[None] * 6

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor | None, ...]:
        g, *tensors, at, is_open, sum_g, sum_gx = ctx.saved_tensors
        inputs, maxima, mask = NormInputs(*(*tensors, ctx.eps)), _Maxima(at, is_open), ctx.mask
        d_g, u, s = tangents[:3]
        parts: list[Tensor | None] = [None, None, None]
        if d_g is not None:
            d_g = d_g * is_open
            d_sum, d_sum_gx = _sums(d_g, maxima, inputs)
            parts[1:] = d_sum_gx, d_sum
            if mask[0]:
                parts[0] = _input_gradient(d_g, maxima, inputs, d_sum, d_sum_gx)
        direction = _direction(u, inputs)
        to_x, to_weight = _second_derivatives(g, maxima, inputs, direction, s, sum_g, sum_gx)
        parts[0], parts[1] = add_terms(parts[0], to_x), add_terms(parts[1], to_weight)
        return tuple(part if wanted else None for part, wanted in zip(parts, mask, strict=True))


class _Direction(NamedTuple):
    """A direction of x, and for each channel the sums of u and of u x'."""

    u: Tensor
    sum_u: Tensor
    sum_ux: Tensor


def _direction(u: Tensor | None, inputs: NormInputs) -> _Direction | None:
    if u is None:
        return None
    u = match_layout(u, inputs.x)
    _, sum_ux, sum_u = inputs.gradients(u, data=False)
    return _Direction(u, sum_u, sum_ux)


def _normalised_maxima(maxima: _Maxima, inputs: NormInputs) -> Tensor:
    """X' where the maxima were."""
    x = maxima.gather(inputs.x)
    return (x - channel_view(inputs.mean, x)).mul_(channel_view(inputs.inverse, x))


def _sums(g: Tensor, maxima: _Maxima, inputs: NormInputs) -> tuple[Tensor, Tensor]:
    """The sums of g and g x'."""
    axes, dtype = all_but_channels(g), statistics_dtype(g)
    normal = _normalised_maxima(maxima, inputs)
    return g.sum(axes, dtype=dtype), (g * normal).sum(axes, dtype=dtype)


def _input_gradient(
    g: Tensor, maxima: _Maxima, inputs: NormInputs, sum_g: Tensor, sum_gx: Tensor
) -> Tensor:
    """W r (G - mean(G) - x' mean(G x')): level + slope x everywhere, and w r g at the maxima."""
    x, inverse, count = inputs.x, inputs.inverse, values_per_channel(inputs.x)
    wr = inputs.weight * inverse
    slope = -wr * inverse * sum_gx / count
    level = -wr * sum_g / count - inputs.mean * slope
    gx = torch.addcmul(channel_coefficients(level, x), x, channel_coefficients(slope, x))
    return maxima.scatter_add(gx, g, wr.to(g.dtype))


def _output_tangent(
    maxima: _Maxima,
    inputs: NormInputs,
    direction: _Direction | None,
    s: Tensor | None,
    t: Tensor | None,
) -> Tensor | None:
    """At the open maxima w r (u - mean(u) - x' mean(u x')) + s x' + t: how the output moves."""
    if direction is None and s is None and t is None:
        return None
    wr, count = inputs.weight * inputs.inverse, values_per_channel(inputs.x)
    slope = level = torch.zeros_like(inputs.mean)
    if direction is not None:
        slope, level = -wr * direction.sum_ux / count, -wr * direction.sum_u / count
    if s is not None:
        slope = slope + s
    if t is not None:
        level = level + t
    normal = _normalised_maxima(maxima, inputs)
    total = torch.addcmul(channel_view(level, normal), normal, channel_view(slope, normal))
    if direction is not None:
        total = total.addcmul_(maxima.gather(direction.u), channel_view(wr, normal))
    return total.mul_(maxima.is_open).to(inputs.x.dtype)


def _second_derivatives(
    g: Tensor,
    maxima: _Maxima,
    inputs: NormInputs,
    direction: _Direction | None,
    s: Tensor | None,
    sum_g: Tensor,
    sum_gx: Tensor,
) -> tuple[Tensor | None, Tensor | None]:
    """<u, gx> + <s, gw> differentiated by x and the weight."""
    if direction is None and s is None:
        return None, None
    u = sums = None
    if direction is not None:
        u, sum_u, sum_ux = direction
        sum_ug = (maxima.gather(u) * g).sum(all_but_channels(g), dtype=inputs.mean.dtype)
        sums = (sum_u, sum_ux, sum_ug)
    curved = curvature(inputs, sum_g, sum_gx, sums, s)
    to_x = curved.add_u(curved.start(inputs.x), u)
    return maxima.scatter_add(to_x, g, curved.of_g.to(g.dtype)), curved.to_weight


def pooled_batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, window: PoolingWindow
) -> Tensor:
    """relu(max_pool2d(batch_norm(x))), with x's own statistics."""
    if inside_transform() or weight is None or bias is None or x.dim() != 4:
        return pool_and_relu(batch_norm(x, weight, bias, eps), window)
    return cast(Tensor, _Pooled.apply(x, weight, bias, eps, window))  # type: ignore[no-untyped-call]


def pool_and_relu(y: Tensor, window: PoolingWindow) -> Tensor:
    """relu(max_pool2d(y)), as torch does it."""
    return nn.functional.max_pool2d(
        y, window.size, window.stride, window.padding, window.dilation, window.ceil
    ).relu()
