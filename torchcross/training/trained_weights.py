"""Weights that a training has written, without its lock: any number of processes may read them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from torchcross._kit import tensor_files
from torchcross.training.trained_tensors import check_shape


def load_trained(module: nn.Module, path: Path) -> None:
    """Give a module the values of `weights.safetensors`: parameters, and buffers of every kind.

    All are checked before any is changed.
    """
    tensors, _ = tensor_files.read(path)
    own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for name, value in own.items():
        check_shape(str(path), name, tensors.get(name), value)
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(tensors[name])
