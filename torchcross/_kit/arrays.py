"""Sample numbers, and arrays that nobody changes."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Array = TypeVar("Array", bound=NDArray[Any])


def read_only(array: Array) -> Array:
    """The same array, read-only."""
    array.flags.writeable = False
    return array


def evenly_spaced(count: int, most: int) -> Indices:
    """At most `most` of the places 0 .. count-1, evenly spaced, the first and the last included."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
