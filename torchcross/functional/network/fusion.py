"""Faster forwards for layers of the structural copy; the layers themselves stay in place."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from torchcross.functional.network.norm_policies import FrameHolder
from torchcross.functional.network.ops import PoolingWindow, convolution

_CONVOLUTIONS: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.Conv1d: nn.functional.conv1d,
    nn.Conv2d: nn.functional.conv2d,
    nn.Conv3d: nn.functional.conv3d,
}


def substitute_convolution(layer: nn.Module, holder: FrameHolder) -> None:
    """Give a convolution the forward of `ops.conv`, if that serves it."""
    plain = _CONVOLUTIONS.get(type(layer))
    if plain is None or not isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return
    run = functools.partial(
        convolution,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        plain=plain,
    )

    def forward(input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        return run(input, layer.weight, layer.bias, channels_last=holder.channels_last)

    vars(layer)["forward"] = forward


def pool_before_relu(layer: nn.Module) -> None:
    """In a sequence, take the maximum before the ReLU: the same results from less work.

    Both are monotone. Where a window's maximum is at most 0, either order gives 0 and passes no
    gradient on; where it is above 0, the ReLU changes neither the maximum nor its place. After a
    BatchNorm all three are one operation. Only the call of the whole sequence changes: its layers,
    and slices of it, stay as they are.
    """
    if type(layer) is not nn.Sequential or "forward" in vars(layer) or any(map(_is_hooked, layer)):
        return
    calls = _calls_of(list(layer))
    if calls != list(layer):
        vars(layer)["forward"] = functools.partial(_call_in_order, calls)


_Call = Callable[[Tensor], Tensor]


def _call_in_order(calls: list[_Call], input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
    for call in calls:
        input = call(input)  # noqa: A001
    return input


def _calls_of(layers: list[nn.Module]) -> list[_Call]:
    """One call for each layer, or for two or three layers that run as one."""
    calls: list[_Call] = []
    rest = list(layers)
    while rest:
        layer = rest.pop(0)
        if type(layer) is nn.BatchNorm2d and _is_relu_and_pool(rest):
            _relu, pool = rest.pop(0), cast(nn.MaxPool2d, rest.pop(0))
            calls.append(functools.partial(layer, window=PoolingWindow.of(pool)))
        elif _is_relu_and_pool([layer, *rest]):
            calls += [rest.pop(0), layer]
        else:
            calls.append(layer)
    return calls


def _is_relu_and_pool(layers: list[nn.Module]) -> bool:
    pair = layers[:2]
    if [type(layer) for layer in pair] != [nn.ReLU, nn.MaxPool2d]:
        return False
    is_plain = not any("forward" in vars(layer) for layer in pair)
    return is_plain and not cast(nn.MaxPool2d, pair[1]).return_indices


def _is_hooked(layer: nn.Module) -> bool:
    return bool(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
    )
