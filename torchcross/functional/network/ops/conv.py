"""Convolution with a closed double backward.

ATen runs the weight-gradient term of its convolution double backward as a grouped convolution, at a
fraction of the speed of `convolution_backward`. Here both derivatives are written with
`convolution` and `convolution_backward` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from torchcross.functional.trees import (
    forward_mode,
    inside_transform,
    refuse_third_derivative,
    summed,
)

_aten = torch.ops.aten


class _Geometry(NamedTuple):
    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int
    channels_last: bool = True

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x, last = self._laid_out(x, weight)
        shape = (
            self.stride,
            self.padding,
            self.dilation,
            False,
            [0] * len(self.stride),
            self.groups,
        )
        y = cast(Tensor, _aten.convolution(x, weight, bias, *shape))
        return y.contiguous(memory_format=torch.channels_last) if last is False else y

    def backward(
        self, gy: Tensor, x: Tensor, weight: Tensor, mask: list[bool]
    ) -> list[Tensor | None]:
        sizes = [weight.shape[0]] if mask[2] else None
        x, last = self._laid_out(x, weight)
        if last is not None:
            gy = gy.contiguous(
                memory_format=torch.channels_last if last else torch.contiguous_format
            )
        shape = (
            self.stride,
            self.padding,
            self.dilation,
            False,
            [0] * len(self.stride),
            self.groups,
        )
        grads = _aten.convolution_backward(gy, x, weight, sizes, *shape, mask)
        gx, gw, gb = (grad if wanted else None for grad, wanted in zip(grads, mask, strict=True))
        if last is False and gx is not None:
            gx = gx.contiguous(memory_format=torch.channels_last)
        return [gx, None if gw is None else gw.contiguous(), gb]

    def _laid_out(self, x: Tensor, weight: Tensor) -> tuple[Tensor, bool | None]:
        """(x in the layout to compute in, whether channels come last in it; None where layouts do
        not matter).

        On the CPU, normalisation and pooling are several times faster with the channels last, and
        convolutions a little. Weights larger than the images would have to be turned around for it,
        at a higher price.
        """
        if (
            not self.channels_last
            or x.device.type != "cpu"
            or x.dim() != 4
            or x.dtype == torch.float64
        ):
            return x, None
        if weight.numel() > x.numel():
            return x.contiguous(), False
        if x.shape[1] == 1:
            # One channel is laid out both ways at once; only its strides tell which one is meant.
            height, width = x.shape[2:]
            return x.contiguous().as_strided(x.shape, (height * width, 1, width, 1)), True
        return x.contiguous(memory_format=torch.channels_last), True


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: _Geometry
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        if forward_mode():
            ctx.save_for_forward(x, weight)
        ctx.geometry = geometry
        return geometry.forward(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        mask = list(ctx.needs_input_grad[:3])
        return (*_ConvolutionBackward.apply(grads[0], x, weight, mask, ctx.geometry), None)  # type: ignore[no-untyped-call]

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor | None:
        x, weight = ctx.saved_tensors
        d_x, d_weight, d_bias = tangents[:3]
        return _tangent(ctx.geometry, d_x, d_weight, d_bias, x, weight)


class _ConvolutionBackward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gy: Tensor, x: Tensor, weight: Tensor, mask: list[bool], geometry: _Geometry
    ) -> tuple[Tensor | None, ...]:
        ctx.save_for_backward(gy, x, weight)
        if forward_mode():
            ctx.save_for_forward(gy, x, weight)
        ctx.geometry, ctx.mask = geometry, mask
        ctx.set_materialize_grads(False)
        return tuple(geometry.backward(gy, x, weight, mask))

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor | None, ...]:
        gy, x, weight = ctx.saved_tensors
        geometry, (d_gy, d_x, d_weight) = ctx.geometry, tangents[:3]
        parts = [None] * 3 if d_gy is None else geometry.backward(d_gy, x, weight, ctx.mask)
        if ctx.mask[0] and d_weight is not None:
            parts[0] = summed(parts[0], geometry.backward(gy, x, d_weight, [True, False, False])[0])
        if ctx.mask[1] and d_x is not None:
            parts[1] = summed(parts[1], geometry.backward(gy, d_x, weight, [False, True, False])[1])
        return tuple(parts)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        """<ggx, gx> + <ggw, gw> + <ggb, gb>, differentiated with respect to gy, x and the
        weight.
        """
        refuse_third_derivative()
        ggx, ggw, ggb = cotangents
        gy, x, weight = ctx.saved_tensors
        geometry: _Geometry = ctx.geometry
        want_gy, want_x, want_weight = ctx.needs_input_grad[:3]
        g_gy = _tangent(geometry, ggx, ggw, ggb, x, weight) if want_gy else None
        g_x = g_weight = None
        if want_x and ggw is not None:
            g_x = geometry.backward(gy, x, ggw, [True, False, False])[0]
        if want_weight and ggx is not None:
            g_weight = geometry.backward(gy, ggx, weight, [False, True, False])[1]
        return g_gy, g_x, g_weight, None, None


def _tangent(
    geometry: _Geometry,
    d_x: Tensor | None,
    d_weight: Tensor | None,
    d_bias: Tensor | None,
    x: Tensor,
    weight: Tensor,
) -> Tensor | None:
    """How the output moves where x, weight and bias move so; in the double backward, the cotangent
    of gy.
    """
    total = None if d_weight is None else geometry.forward(x, d_weight, d_bias)
    if d_x is not None:
        return summed(
            geometry.forward(d_x, weight, None if d_weight is not None else d_bias), total
        )
    if total is None and d_bias is not None:
        return torch.zeros_like(geometry.forward(x, weight, None)) + d_bias.view(
            -1, *[1] * (x.dim() - 2)
        )
    return total


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    plain: Callable[..., Tensor],
    channels_last: bool = True,
) -> Tensor:
    """The convolution `plain(x, weight, bias, ...)`, differentiable twice at the speed of its
    parts.

    Inside a torch.func transform, where a custom function has no rule, it is `plain` itself.
    """
    if inside_transform() or x.dim() != weight.dim():
        return plain(x, weight, bias, tuple(stride), tuple(padding), tuple(dilation), groups)
    device = x.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    geometry = _Geometry(list(stride), list(padding), list(dilation), groups, channels_last)
    with torch.autocast(device, enabled=False):
        return cast(Tensor, _Convolution.apply(x, weight, bias, geometry))  # type: ignore[no-untyped-call]
