"""Sample numbers, and arrays that nobody changes."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Indices", "frozen"]

Indices = NDArray[np.int64]
Array = TypeVar("Array", bound=NDArray[Any])


def frozen(array: Array) -> Array:
    """The same array, read-only."""
    array.flags.writeable = False
    return array
