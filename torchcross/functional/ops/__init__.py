"""Operations whose second derivative is closed: exact, and fast where ATen's is slow."""

from __future__ import annotations

from torchcross.functional.ops.conv import convolution
from torchcross.functional.ops.norm import batch_norm, moments, normalise

__all__ = ["batch_norm", "convolution", "moments", "normalise"]
