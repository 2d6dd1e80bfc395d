"""Squared gradients of weights for each sample, by the layers' own rules.

One backward pass of a whole batch gives the gradients of every layer's output. From these and the
layer's input each sample's weight gradient follows. It costs a product instead of a pass for each
sample. Samples must not meet in the network: BatchNorm uses its running statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Rule = Callable[[Any, Tensor, Tensor], Tensor]
"""(layer, its input, the gradient of its output) -> the weight's gradients (N, filters, K)."""


def _linear(layer: nn.Linear, inputs: Tensor, gradients: Tensor) -> Tensor:
    rows = inputs.reshape(len(inputs), -1, inputs.shape[-1])
    return gradients.reshape(len(inputs), rows.shape[1], -1).transpose(1, 2) @ rows


def _convolution(layer: nn.Conv2d, inputs: Tensor, gradients: Tensor) -> Tensor:
    patches = _patches(layer, inputs)
    samples, groups = len(inputs), layer.groups
    patches = patches.reshape(samples, groups, -1, patches.shape[-1])
    slopes = gradients.reshape(samples, groups, layer.out_channels // groups, -1)
    return (slopes @ patches.transpose(2, 3)).flatten(1, 2)


def _patches(layer: nn.Conv2d, inputs: Tensor) -> Tensor:
    if layer.kernel_size == (1, 1) and layer.padding == (0, 0):
        rows, columns = layer.stride
        return inputs[:, :, ::rows, ::columns].flatten(2)
    assert not isinstance(layer.padding, str)
    return F.unfold(inputs, layer.kernel_size, layer.dilation, layer.padding, layer.stride)


def _batch_norm(layer: nn.BatchNorm2d, inputs: Tensor, gradients: Tensor) -> Tensor:
    normal = F.batch_norm(inputs, layer.running_mean, layer.running_var, eps=layer.eps)
    return (normal * gradients).flatten(2).sum(-1).unsqueeze(-1)


def _group_norm(layer: nn.GroupNorm, inputs: Tensor, gradients: Tensor) -> Tensor:
    normal = F.group_norm(inputs, layer.num_groups, eps=layer.eps)
    return (normal * gradients).flatten(2).sum(-1).unsqueeze(-1)


def _layer_norm(layer: nn.LayerNorm, inputs: Tensor, gradients: Tensor) -> Tensor:
    normal = F.layer_norm(inputs, layer.normalized_shape, eps=layer.eps)
    products = (normal * gradients).reshape(len(inputs), -1, *layer.normalized_shape)
    filters = layer.normalized_shape[0]
    return products.sum(1).reshape(len(inputs), filters, -1)


_RULES: dict[type[nn.Module], Rule] = {
    nn.Linear: _linear,
    nn.Conv2d: _convolution,
    nn.BatchNorm2d: _batch_norm,
    nn.GroupNorm: _group_norm,
    nn.LayerNorm: _layer_norm,
}


def has_rule(layer: nn.Module) -> bool:
    """Whether the squared gradients of a layer's weight follow from its input and output."""
    if isinstance(layer, nn.Conv2d) and (
        isinstance(layer.padding, str) or layer.padding_mode != "zeros"
    ):
        return False
    if isinstance(layer, nn.BatchNorm2d) and layer.running_mean is None:
        return False
    return type(layer) in _RULES


class LayerTrace:
    """The inputs and outputs of layers in a forward pass, to be differentiated several times."""

    def __init__(self, layers: dict[str, nn.Module]) -> None:
        self._layers = layers
        self._inputs: dict[str, Tensor] = {}
        self._outputs: dict[str, Tensor] = {}
        self._calls: dict[str, int] = dict.fromkeys(layers, 0)

    def forward(self, network: nn.Module, images: Tensor) -> Tensor:
        """The features, with what each layer got and gave."""
        handles = [
            layer.register_forward_hook(self._hook_of(name)) for name, layer in self._layers.items()
        ]
        try:
            features: Tensor = network(images)
        finally:
            for handle in handles:
                handle.remove()
        return features

    def _hook_of(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]:
        def hook(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            # What follows may write into these tensors, as an activation in place does.
            self._inputs[name] = inputs[0].detach().clone()
            self._outputs[name] = output
            self._calls[name] += 1
            return output.clone()

        return hook

    @property
    def is_whole(self) -> bool:
        """Whether every layer ran once."""
        return all(calls == 1 for calls in self._calls.values())

    def squared_gradients(self, scalar: Tensor) -> dict[str, Tensor]:
        """By layer, the mean squared gradient of each filter's weights, for each sample (N, O)."""
        names = list(self._outputs)
        outputs = [self._outputs[name] for name in names]
        slopes = torch.autograd.grad(scalar, outputs, retain_graph=True, materialize_grads=True)
        return {
            name: _RULES[type(self._layers[name])](self._layers[name], self._inputs[name], slope)
            .square()
            .mean(-1)
            for name, slope in zip(names, slopes, strict=True)
        }
