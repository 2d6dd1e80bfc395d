"""Linear heads: `head.weight` and `head.bias` in the shapes of the target's `HeadLayout`."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Final

import torch
from torch import Tensor

from torchcross.targets import Target

WEIGHT: Final = "head.weight"
BIAS: Final = "head.bias"
Params = dict[str, Tensor]


def seeded_generator(*words: int | str) -> torch.Generator:
    """A generator for these words alone, the same in every process.

    >>> from torchcross.heads import seeded_generator
    >>> first, again = (torch.rand(2, generator=seeded_generator("head", 7)) for _ in range(2))
    >>> torch.equal(first, again)
    True
    """
    text = json.dumps(words).encode()
    digest = hashlib.blake2b(text, digest_size=8, person=b"torchcross-heads").digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def zero_head(
    target: Target,
    features: int,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Params:
    """A head of zeros: the first inner step moves the head alone (the default of mm-MAML).

    >>> from torchcross.heads import zero_head
    >>> from torchcross.targets import MultiClass
    >>> {name: value.shape for name, value in zero_head(MultiClass(["a", "b", "c"]), 4).items()}
    {'head.weight': torch.Size([3, 4]), 'head.bias': torch.Size([3])}
    """
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
    """Torch's default for a linear layer: weights and biases uniform in ±1/sqrt(D).

    That is He et al. 2015 with a = sqrt 5. The draw is on the CPU in float32: the same generator
    gives the same head for every dtype and device.

    >>> from torchcross.heads import kaiming_head, seeded_generator
    >>> from torchcross.targets import Binary
    >>> head = kaiming_head(Binary(), 4, generator=seeded_generator(0))
    >>> sorted(head)
    ['head.bias', 'head.weight']
    """
    layout, bound = target.head, 1.0 / math.sqrt(features)
    weight = torch.rand(layout.weight_rows, features, generator=generator)
    bias = torch.rand(layout.biases, generator=generator)
    return {
        WEIGHT: ((2 * weight - 1) * bound).to(device=device, dtype=dtype),
        BIAS: ((2 * bias - 1) * bound).to(device=device, dtype=dtype),
    }
