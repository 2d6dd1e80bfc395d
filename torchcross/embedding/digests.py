"""What makes features the same: digests of a backbone's values and of its layers."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import chain

from torch import nn

from torchcross._kit.content_hash import json_digest
from torchcross._kit.tensor_bytes import tensor_bytes
from torchcross.backbones.layers import described_layers


@dataclass(frozen=True)
class NetworkDigests:
    """Of a backbone's values and of its layers."""

    weights: str
    network: str

    @classmethod
    def of(cls, backbone: nn.Module) -> NetworkDigests:
        return cls(weights_digest(backbone), network_digest(backbone))


def weights_digest(backbone: nn.Module) -> str:
    """SHA-256 over the name, dtype, shape and values of every parameter and buffer."""
    total = hashlib.sha256()
    for name, value in chain(backbone.named_parameters(), backbone.named_buffers()):
        total.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        total.update(tensor_bytes(value))
    return total.hexdigest()


def network_digest(backbone: nn.Module) -> str:
    """SHA-256 over the classes and settings of all layers; code of a `forward` is not seen."""
    return json_digest(described_layers(backbone))
