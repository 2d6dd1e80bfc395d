"""Convolution with a closed double backward.

ATen runs the weight-gradient term of its convolution double backward as a grouped convolution, at a
fraction of the speed of `convolution_backward`. Here both derivatives are written with
`convolution` and `convolution_backward` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, cast

import torch
from torch import Tensor

from torchcross.functional.network.ops.custom_functions import (
    add_terms,
    refuse_third_derivative,
    save_for_derivatives,
)
from torchcross.functional.network.ops.layout import channel_view
from torchcross.functional.trees import inside_transform

_aten = torch.ops.aten

_FEW_CHANNELS: Final = 16


class _Geometry(NamedTuple):
    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int
    channels_last: bool = True

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        x, last = self._choose_layout(x, weight)
        y = cast(Tensor, _aten.convolution(x, weight, bias, *self._arguments()))
        return y.contiguous(memory_format=torch.channels_last) if last is False else y

    def backward(
        self, gy: Tensor, x: Tensor, weight: Tensor, mask: list[bool]
    ) -> list[Tensor | None]:
        """The gradients of x, weight and bias that `mask` asks for."""
        x, last = self._choose_layout(x, weight)
        if last is not None:
            layout = torch.channels_last if last else torch.contiguous_format
            gy = gy.contiguous(memory_format=layout)
        sizes = [weight.shape[0]] if mask[2] else None
        grads = _aten.convolution_backward(gy, x, weight, sizes, *self._arguments(), mask)
        gx, gw, gb = (grad if wanted else None for grad, wanted in zip(grads, mask, strict=True))
        if last is False and gx is not None:
            gx = gx.contiguous(memory_format=torch.channels_last)
        return [gx, None if gw is None else gw.contiguous(), gb]

    def pull_to_x(self, gy: Tensor, x: Tensor, weight: Tensor) -> Tensor | None:
        return self.backward(gy, x, weight, [True, False, False])[0]

    def pull_to_weight(self, gy: Tensor, x: Tensor, weight: Tensor) -> Tensor | None:
        return self.backward(gy, x, weight, [False, True, False])[1]

    def tangent(
        self,
        x: Tensor,
        weight: Tensor,
        d_x: Tensor | None,
        d_weight: Tensor | None,
        d_bias: Tensor | None,
    ) -> Tensor | None:
        """How the output moves: conv(x, d_weight) + conv(d_x, weight) + d_bias.

        In the double backward it is the cotangent of gy.
        """
        total = None
        if d_weight is not None:
            total = self.forward(x, d_weight, d_bias)
            d_bias = None
        if d_x is not None:
            return add_terms(self.forward(d_x, weight, d_bias), total)
        if d_bias is not None:
            zeros = torch.zeros_like(self.forward(x, weight, None))
            return zeros + channel_view(d_bias, x)
        return total

    def _arguments(self) -> tuple[Any, ...]:
        """(stride, padding, dilation, transposed, output padding, groups), as aten has them."""
        no_padding = [0] * len(self.stride)
        return self.stride, self.padding, self.dilation, False, no_padding, self.groups

    def _choose_layout(self, x: Tensor, weight: Tensor) -> tuple[Tensor, bool | None]:
        """(x in the layout to compute in, whether channels are last in it; None: keep any layout).

        On the CPU, normalisation and pooling are several times faster with the channels last, and
        convolutions a little. Weights larger than the images would have to be reordered too, which
        costs more.
        """
        is_served = x.device.type == "cpu" and x.dim() == 4 and x.dtype != torch.float64
        if not (self.channels_last and is_served):
            return x, None
        # Torch 2.13 writes beyond its memory in the weight's gradient of such convolutions. It was
        # seen with one pixel, strides, at most 8 input channels and more than one thread.
        corrupts_memory = max(weight.shape[2:]) == 1 and max(self.stride) > 1
        if weight.numel() > x.numel() or (corrupts_memory and weight.shape[1] < _FEW_CHANNELS):
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
        save_for_derivatives(ctx, x, weight)
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
        return cast("Tensor | None", ctx.geometry.tangent(x, weight, *tangents[:3]))


class _ConvolutionBackward(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gy: Tensor, x: Tensor, weight: Tensor, mask: list[bool], geometry: _Geometry
    ) -> tuple[Tensor | None, ...]:
        save_for_derivatives(ctx, gy, x, weight)
        ctx.geometry, ctx.mask = geometry, mask
        ctx.set_materialize_grads(False)
        return tuple(geometry.backward(gy, x, weight, mask))

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor | None, ...]:
        gy, x, weight = ctx.saved_tensors
        geometry, (d_gy, d_x, d_weight) = ctx.geometry, tangents[:3]
        parts = [None] * 3 if d_gy is None else geometry.backward(d_gy, x, weight, ctx.mask)
        if ctx.mask[0] and d_weight is not None:
            parts[0] = add_terms(parts[0], geometry.pull_to_x(gy, x, d_weight))
        if ctx.mask[1] and d_x is not None:
            parts[1] = add_terms(parts[1], geometry.pull_to_weight(gy, d_x, weight))
        return tuple(parts)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        """<ggx, gx> + <ggw, gw> + <ggb, gb>, differentiated by gy, x and the weight.

        gx is linear in gy and weight, gw in gy and x: by each of them it is one more convolution.
        """
        refuse_third_derivative()
        ggx, ggw, ggb = cotangents
        gy, x, weight = ctx.saved_tensors
        geometry: _Geometry = ctx.geometry
        want_gy, want_x, want_weight = ctx.needs_input_grad[:3]
        g_gy = geometry.tangent(x, weight, ggx, ggw, ggb) if want_gy else None
        g_x = g_weight = None
        if want_x and ggw is not None:
            g_x = geometry.pull_to_x(gy, x, ggw)
        if want_weight and ggx is not None:
            g_weight = geometry.pull_to_weight(gy, ggx, weight)
        return g_gy, g_x, g_weight, None, None


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
    """The convolution `plain(x, weight, bias, ...)`, with fast first and second derivatives.

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
