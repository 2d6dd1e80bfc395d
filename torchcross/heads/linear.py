"""Linear heads: `head.weight` (rows, D) and `head.bias` (biases,) in the shapes of the target's
`HeadLayout`.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Final

import torch
from torch import Tensor

from torchcross.targets import Target

__all__ = ["BIAS", "WEIGHT", "kaiming_head", "seeded", "zero_head"]

WEIGHT: Final = "head.weight"
BIAS: Final = "head.bias"
Params = dict[str, Tensor]


def seeded(*words: int | str) -> torch.Generator:
    """A generator of its own for these words, the same in every process."""
    digest = hashlib.blake2b(
        json.dumps(words).encode(), digest_size=8, person=b"torchcross-heads"
    ).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def zero_head(
    target: Target,
    features: int,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Params:
    """A head that says nothing yet: its first step moves no feature (mm-MAML's default)."""
    layout = target.head
    return {
        WEIGHT: torch.zeros(layout.weight_rows, features, dtype=dtype, device=device),
        BIAS: torch.zeros(layout.biases, dtype=dtype, device=device),
    }


def kaiming_head(
    target: Target,
    features: int,
    *,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Params:
    """Torch's default for a linear layer: weights and biases uniform in ±1/sqrt(D) (He et al. 2015,
    with a = sqrt 5).

    Drawn on the CPU in float32, so that the same generator gives the same head for every dtype and
    device.
    """
    layout, bound = target.head, 1.0 / math.sqrt(features)
    weight = torch.rand(layout.weight_rows, features, generator=generator)
    bias = torch.rand(layout.biases, generator=generator)
    return {
        WEIGHT: ((2 * weight - 1) * bound).to(device=device, dtype=dtype),
        BIAS: ((2 * bias - 1) * bound).to(device=device, dtype=dtype),
    }
