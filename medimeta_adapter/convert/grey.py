"""Whether the images of a source are grey, judged by a sample of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from medimeta_adapter.convert.rows import Pixels, is_grey
from torchcross._kit.arrays import evenly_spaced

_LOOKS = 32


def common_channels(count: int, image: Callable[[int], Pixels]) -> Literal[1, 3]:
    """3 if any of some evenly spaced images has colours, else 1.

    An image that cannot be read is reported later, together with all others.
    """
    for place in evenly_spaced(count, _LOOKS).tolist():
        try:
            if not is_grey(image(place)):
                return 3
        except Exception:  # noqa: BLE001  # reported later, together with all others
            continue
    return 1
