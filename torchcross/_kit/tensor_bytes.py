"""The bytes of a tensor's values, for digests."""

from __future__ import annotations

import torch
from torch import Tensor


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The values of a tensor of any dtype and on any device, in order, without a copy if it can."""
    values = tensor.detach().cpu().resolve_conj().contiguous().reshape(-1)
    return values.view(torch.uint8).numpy().data
