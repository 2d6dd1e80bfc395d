"""Initial values from an explicit generator.

Modules are made on the meta device, where torch draws nothing.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch import Tensor, nn

from torchcross.errors import InputError

# A number, or a generator on the CPU, which draws advance.
Seed: TypeAlias = int | torch.Generator

_LIMIT = 2**63


def generator_of(seed: Seed) -> torch.Generator:
    if isinstance(seed, torch.Generator):
        if seed.device.type != "cpu":
            raise InputError(
                f"the generator is on {seed.device}; initial values are drawn on the CPU, give a"
                " torch.Generator()"
            )
        return seed
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < _LIMIT:
        raise InputError(
            f"seed={seed!r} is neither an integer from 0 to 2**63 - 1 nor a torch.Generator"
        )
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def materialise(module: nn.Module) -> None:
    """Give a module on the meta device memory on the CPU, filled with NaN.

    A tensor that nobody initialises shows as NaN.
    """
    module.to_empty(device="cpu")
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.is_floating_point():
            tensor.fill_(math.nan)


@torch.no_grad()
def initialise_convolutional(module: nn.Module, generator: torch.Generator) -> None:
    """As torchvision's ResNets: convolutions normal by the fan out (He et al. 2015), norms 1, 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(
                layer.weight, mode="fan_out", nonlinearity="relu", generator=generator
            )
            if layer.bias is not None:
                layer.bias.zero_()
        elif isinstance(layer, nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm):
            initialise_norm(layer)


@torch.no_grad()
def initialise_norm(layer: nn.BatchNorm2d | nn.GroupNorm | nn.LayerNorm) -> None:
    layer.weight.fill_(1.0)
    layer.bias.zero_()
    if isinstance(layer, nn.BatchNorm2d):
        for buffer, value in (
            (layer.running_mean, 0),
            (layer.running_var, 1),
            (layer.num_batches_tracked, 0),
        ):
            if isinstance(buffer, Tensor):
                buffer.fill_(value)
