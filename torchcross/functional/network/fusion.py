"""Forwards of the copy's layers that do the same work faster; the layers themselves stay where they
are.
"""

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
    vars(layer)["forward"] = lambda x: run(
        x, layer.weight, layer.bias, channels_last=holder.channels_last
    )


def pool_before_relu(layer: nn.Module) -> None:
    """In a sequence, take the maximum before the ReLU: the same values and gradients from a
    fraction of the work.

    Both are monotone. Where a window's maximum is at most 0 either order gives 0 and passes no
    gradient on; where it is above, the ReLU changes neither the maximum nor its place. After a
    BatchNorm all three are one operation. Only the call of the whole sequence is another: its
    layers, and slices of it, are what they were.
    """
    if type(layer) is not nn.Sequential or "forward" in vars(layer) or any(map(_is_hooked, layer)):
        return
    calls = _calls_of(list(layer))
    if len(calls) < len(layer):
        vars(layer)["forward"] = functools.partial(_run, calls)


_Call = Callable[[Tensor], Tensor]


def _run(calls: list[_Call], x: Tensor) -> Tensor:
    for call in calls:
        x = call(x)
    return x


def _calls_of(layers: list[nn.Module]) -> list[_Call]:
    """One call for each layer, or for two or three that go together."""
    calls: list[_Call] = []
    at = 0
    while at < len(layers):
        norm = at if type(layers[at]) is nn.BatchNorm2d else None
        relu = at if norm is None else at + 1
        if not _are_relu_and_pool(layers[relu : relu + 2]):
            calls.append(layers[at])
            at += 1
            continue
        pool = cast(nn.MaxPool2d, layers[relu + 1])
        if norm is None:
            calls.append(functools.partial(_run, [pool, layers[relu]]))
        else:
            calls.append(functools.partial(layers[norm], window=PoolingWindow.of(pool)))
        at = relu + 2
    return calls


def _are_relu_and_pool(pair: list[nn.Module]) -> bool:
    if [type(layer) for layer in pair] != [nn.ReLU, nn.MaxPool2d] or any(
        "forward" in vars(layer) for layer in pair
    ):
        return False
    return not cast(nn.MaxPool2d, pair[1]).return_indices


def _is_hooked(layer: nn.Module) -> bool:
    return bool(
        layer._forward_hooks
        or layer._forward_pre_hooks
        or layer._backward_hooks
        or layer._backward_pre_hooks
    )
