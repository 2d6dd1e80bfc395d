"""Whether images are grey or coloured, from a look at some of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from medimeta_adapter.convert.rows import Pixels, is_grey

__all__ = ["channels_of"]

_LOOKS = 32


def channels_of(count: int, image: Callable[[int], Pixels]) -> Literal[1, 3]:
    """3 if any of some evenly spaced images has colours, else 1. One that cannot be read is named
    later, with all.
    """
    for place in np.unique(
        np.linspace(0, count - 1, min(count, _LOOKS)).round().astype(int)
    ).tolist():
        try:
            if not is_grey(image(place)):
                return 3
        except Exception:  # noqa: BLE001  # told later, with all others
            continue
    return 1
