"""Rows that are computed with the same bits wherever they stand.

Torch computes most elements of a tensor by vectors, and the last few one by one: an exponential
then has other last bits. With zeros behind them, the rows that count are never the last.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

_ROWS = 64
"""More elements than a step of torch's loops over vectors has."""


def pad_rows(rows: Tensor) -> Tensor:
    """The rows, and rows of zeros up to a multiple of `_ROWS`.

    >>> from torchcross.heads import pad_rows
    >>> pad_rows(torch.ones(3, 2)).shape
    torch.Size([64, 2])
    """
    return F.pad(rows, (*[0, 0] * (rows.ndim - 1), 0, -rows.shape[0] % _ROWS))


def elementwise(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """`function` of each element, with the same bits whatever stands beside it."""
    results = function(pad_rows(values.reshape(-1)))
    return results[: values.numel()].view(values.shape)
