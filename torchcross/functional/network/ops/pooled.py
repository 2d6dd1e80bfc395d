"""Batch normalisation, max-pooling and ReLU in one, with a closed double backward.

The gradient that reaches the normalised images is zero save where a window had its maximum: sums
over it are sums over the pooled images, and of the large images their own are read and the result
is written, nothing else. Kept for the backward pass are the images before normalisation and where
the maxima were.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from torchcross.functional.network.ops.norm import (
    Curvature,
    _as_laid_out,
    _coefficients,
    _columns,
    _count,
    _reduced,
    _wide,
    batch_norm,
    curvature,
    pulled,
)
from torchcross.functional.trees import (
    forward_mode,
    inside_transform,
    refuse_third_derivative,
    summed,
)

_aten = torch.ops.aten


class Window(NamedTuple):
    """Where maxima are taken over."""

    size: list[int]
    stride: list[int]
    padding: list[int]
    dilation: list[int]
    ceil: bool

    @classmethod
    def of(cls, layer: nn.MaxPool2d) -> Window:
        size, stride, padding, dilation = (
            [value, value] if isinstance(value, int) else list(value)
            for value in (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
        )
        return cls(size, stride, padding, dilation, layer.ceil_mode)


class _Places(NamedTuple):
    """The maxima: where they are, and which of them the ReLU lets through."""

    at: Tensor
    open: Tensor

    def gathered(self, large: Tensor) -> Tensor:
        return _gathered(large, self.at)

    def scattered(self, into: Tensor, small: Tensor, factor: Tensor) -> Tensor:
        """`into` with `factor * small` added where the maxima were, a few images at a time: indices
        take much room.
        """
        last = _channels_last(into)
        large, at, small = (
            _flat(into, last=last),
            _flat(self.at, last=last),
            _flat(small, last=last),
        )
        factor = factor if last else factor.repeat(into.shape[0]).unsqueeze(1)
        few = max(1, _FEW // at[0].numel())
        for rows in (slice(first, first + few) for first in range(0, len(at), few)):
            large[rows].scatter_add_(
                1, at[rows].long(), small[rows] * (factor if last else factor[rows])
            )
        return _unflat(large, into.shape, last=last)


_FEW = 1 << 17
"""Indices at a time."""


def _channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _flat(x: Tensor, *, last: bool) -> Tensor:
    """Places along the second axis, whatever is next to each other in memory along the last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2) if last else x.reshape(-1, x.shape[2] * x.shape[3])


def _unflat(flat: Tensor, shape: torch.Size, *, last: bool) -> Tensor:
    images, channels, height, width = shape
    if last:
        return flat.view(images, height, width, channels).permute(0, 3, 1, 2)
    return flat.view(shape)


def _gathered(large: Tensor, at: Tensor) -> Tensor:
    last = _channels_last(large)
    return _unflat(
        torch.gather(_flat(large, last=last), 1, _flat(at, last=last).long()), at.shape, last=last
    )


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, window: Window
    ) -> Tensor:
        y, mean, inverse = _aten.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        top, at = _aten.max_pool2d_with_indices(y, *window)
        at = at.to(torch.int32)
        out = top.relu_()
        kept = (x, weight, mean, inverse, at, out > 0)
        ctx.save_for_backward(*kept)
        if forward_mode():
            ctx.save_for_forward(*kept)
        ctx.eps = eps
        return cast(Tensor, out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        mask = list(ctx.needs_input_grad[:3])
        found = _PooledBackward.apply(grads[0], *ctx.saved_tensors, mask, ctx.eps)  # type: ignore[no-untyped-call]
        return *found, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor | None:
        x, weight, mean, inverse, *kept = ctx.saved_tensors
        u, sums = _direction(tangents[0], x, weight, mean, inverse, ctx.eps)
        return _seen(_Places(*kept), x, weight, mean, inverse, u, sums, tangents[1], tangents[2])


class _PooledBackward(torch.autograd.Function):
    """As `_BatchNormBackward`, of a gradient that is scattered from the maxima."""

    @staticmethod
    def forward(
        ctx: Any,
        g: Tensor,
        x: Tensor,
        weight: Tensor,
        mean: Tensor,
        inverse: Tensor,
        at: Tensor,
        opened: Tensor,
        mask: list[bool],
        eps: float,
    ) -> tuple[Tensor | None, ...]:
        places = _Places(at, opened)
        g = g * opened
        sum_g, sum_gx = _sums(g, places.gathered(x), mean, inverse)
        gx = _pushed(places, g, x, weight, mean, inverse, sum_g, sum_gx) if mask[0] else None
        ctx.save_for_backward(g, x, weight, mean, inverse, *places, sum_g, sum_gx)
        if forward_mode():
            ctx.save_for_forward(g, x, weight, mean, inverse, *places, sum_g, sum_gx)
        ctx.eps, ctx.mask = eps, mask
        ctx.set_materialize_grads(False)
        return gx, sum_gx if mask[1] else None, sum_g if mask[2] else None

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        refuse_third_derivative()
        g, x, weight, mean, inverse, *kept, sum_g, sum_gx = ctx.saved_tensors
        places = _Places(*kept)
        u, sums = _direction(cotangents[0], x, weight, mean, inverse, ctx.eps)
        to_g = _seen(places, x, weight, mean, inverse, u, sums, cotangents[1], cotangents[2])
        to_x, to_weight = _bent(
            places, g, x, weight, mean, inverse, u, sums, cotangents[1], sum_g, sum_gx
        )
        return to_g, to_x, to_weight, *[None] * 6

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor | None, ...]:
        g, x, weight, mean, inverse, *kept, sum_g, sum_gx = ctx.saved_tensors
        places, mask, d_g = _Places(*kept), ctx.mask, tangents[0]
        parts: list[Tensor | None] = [None, None, None]
        if d_g is not None:
            d_g = d_g * places.open
            d_sum, d_sum_gx = _sums(d_g, places.gathered(x), mean, inverse)
            parts[1:] = d_sum_gx, d_sum
            if mask[0]:
                parts[0] = _pushed(places, d_g, x, weight, mean, inverse, d_sum, d_sum_gx)
        u, sums = _direction(tangents[1], x, weight, mean, inverse, ctx.eps)
        to_x, to_weight = _bent(
            places, g, x, weight, mean, inverse, u, sums, tangents[2], sum_g, sum_gx
        )
        parts[0], parts[1] = summed(parts[0], to_x), summed(parts[1], to_weight)
        return tuple(part if wanted else None for part, wanted in zip(parts, mask, strict=True))


_Direction = tuple[Tensor, Tensor]
"""Over all places of a channel: a direction u, and u x'."""


def _direction(
    u: Tensor | None, x: Tensor, weight: Tensor, mean: Tensor, inverse: Tensor, eps: float
) -> tuple[Tensor | None, _Direction | None]:
    if u is None:
        return None, None
    u = _as_laid_out(u, x)
    _, sum_ux, sum_u = pulled(u, x, weight, mean, inverse, eps, data=False)
    return u, (sum_u, sum_ux)


def _normal(px: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
    return (px - _columns(mean, px)).mul_(_columns(inverse, px))


def _sums(g: Tensor, px: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    """The sums of g and g x'."""
    dims, wide = _reduced(g), _wide(g)
    return g.sum(dims, dtype=wide), (g * _normal(px, mean, inverse)).sum(dims, dtype=wide)


def _pushed(
    places: _Places,
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    inverse: Tensor,
    sum_g: Tensor,
    sum_gx: Tensor,
) -> Tensor:
    """Of x: w r (G - mean(G) - x' mean(G x')), G scattered from g."""
    wr, count = weight * inverse, _count(x)
    slope = -wr * inverse * sum_gx / count
    level = -wr * sum_g / count - mean * slope
    gx = torch.addcmul(_coefficients(level, x), x, _coefficients(slope, x))
    return places.scattered(gx, g, wr.to(g.dtype))


def _seen(
    places: _Places,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    inverse: Tensor,
    u: Tensor | None,
    sums: _Direction | None,
    s: Tensor | None,
    t: Tensor | None,
) -> Tensor | None:
    """At the maxima w r (u - mean(u) - x' mean(u x')) + s x' + t, where the ReLU lets it
    through.
    """
    if u is None and s is None and t is None:
        return None
    wr, slope, level, count = (
        weight * inverse,
        torch.zeros_like(mean),
        torch.zeros_like(mean),
        _count(x),
    )
    if sums is not None:
        slope, level = -wr * sums[1] / count, -wr * sums[0] / count
    slope, level = slope if s is None else slope + s, level if t is None else level + t
    normal = _normal(places.gathered(x), mean, inverse)
    total = torch.addcmul(_columns(level, normal), normal, _columns(slope, normal))
    if u is not None:
        total = total.addcmul_(places.gathered(u), _columns(wr, normal))
    return total.mul_(places.open).to(x.dtype)


def _bent(
    places: _Places,
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    inverse: Tensor,
    u: Tensor | None,
    sums: _Direction | None,
    s: Tensor | None,
    sum_g: Tensor,
    sum_gx: Tensor,
) -> tuple[Tensor | None, Tensor | None]:
    """What (u, s) do to the gradients of x and of the weight."""
    if u is None and s is None:
        return None, None
    three = None
    if u is not None and sums is not None:
        three = (*sums, (places.gathered(u) * g).sum(_reduced(g), dtype=mean.dtype))
    curved: Curvature = curvature(sum_g, sum_gx, three, s, _count(x), weight, mean, inverse)
    to_x = torch.addcmul(_coefficients(curved.level, x), x, _coefficients(curved.slope, x))
    if curved.of_u is not None and u is not None:
        to_x.addcmul_(u, _coefficients(curved.of_u, x))
    return places.scattered(to_x, g, curved.of_g.to(g.dtype)), curved.to_weight


def pooled_batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, window: Window
) -> Tensor:
    """relu(max_pool2d(batch_norm(x))), with x's own statistics."""
    if inside_transform() or weight is None or bias is None or x.dim() != 4:
        return plainly_pooled(batch_norm(x, weight, bias, eps), window)
    return cast(Tensor, _Pooled.apply(x, weight, bias, eps, window))  # type: ignore[no-untyped-call]


def plainly_pooled(y: Tensor, window: Window) -> Tensor:
    return nn.functional.max_pool2d(
        y, window.size, window.stride, window.padding, window.dilation, window.ceil
    ).relu()
