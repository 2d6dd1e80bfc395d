"""Operations whose second derivative is closed: exact, and fast where ATen's is slow."""

from __future__ import annotations

from torchcross.functional.network.ops.conv import convolution
from torchcross.functional.network.ops.layout import values_per_channel
from torchcross.functional.network.ops.norm import batch_norm, moments, normalise
from torchcross.functional.network.ops.pooled import PoolingWindow, pool_and_relu, pooled_batch_norm
from torchcross.functional.network.ops.tracked import tracked_batch_norm

__all__ = [
    "PoolingWindow",
    "batch_norm",
    "convolution",
    "moments",
    "normalise",
    "pool_and_relu",
    "pooled_batch_norm",
    "tracked_batch_norm",
    "values_per_channel",
]
