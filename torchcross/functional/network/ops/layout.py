"""Channels and memory layouts: helpers of the normalising operations."""

from __future__ import annotations

import torch
from torch import Tensor


def channel_view(value: Tensor, like: Tensor) -> Tensor:
    """One number for each channel, shaped to broadcast against `like` [N, C, ...]."""
    return value.view(1, -1, *[1] * (like.dim() - 2))


def channel_coefficients(value: Tensor, like: Tensor) -> Tensor:
    """`channel_view` in the dtype of `like`."""
    return channel_view(value, like).to(like.dtype)


def all_but_channels(x: Tensor) -> list[int]:
    return [0, *range(2, x.dim())]


def values_per_channel(x: Tensor) -> int:
    return x.numel() // x.shape[1]


def statistics_dtype(x: Tensor) -> torch.dtype:
    """At least float32: sums over many half-precision numbers lose their digits."""
    return torch.promote_types(x.dtype, torch.float32)


def is_channels_last(x: Tensor) -> bool:
    # A tensor of one channel is contiguous in both layouts: it counts as channels first.
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def match_layout(value: Tensor, like: Tensor) -> Tensor:
    """`value` in the memory layout of `like`: kernels are slow where layouts differ."""
    last = like.dim() == 4 and is_channels_last(like)
    return value.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
