"""Decoded images that are kept in memory: the bytes of the files as they are now, and no others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchcross.data.sources.flattening import OnRemark, Remark, with_remark
from torchcross.data.sources.images import Mode, Size

Stamp = tuple[int, int]
"""The size of a file, and when it was changed last, in nanoseconds."""

UNKNOWN: Stamp = (-1, -1)

Decode = Callable[[int, OnRemark], Tensor]
"""The image at a place; it calls back where something must be said of the image."""

Warn = Callable[[int, Remark], None]

HELD: Final = 1
"""Flag of an image that is there; the others are those of `flags_of`."""
_ONE_COLOUR, _DEEP, _LOSES_BITS, _BITS = 2, 4, 8, 4


def flags_of(remark: Remark) -> int:
    """One byte for an image that is there, and what must be said of it."""
    one_colour = _ONE_COLOUR * remark.one_colour
    depth = _DEEP * remark.is_deep | _LOSES_BITS * remark.loses_bits
    return HELD | one_colour | depth | remark.likely_bits << _BITS


def remark_of(flags: int) -> Remark:
    return Remark(
        one_colour=bool(flags & _ONE_COLOUR),
        is_deep=bool(flags & _DEEP),
        likely_bits=flags >> _BITS,
        loses_bits=bool(flags & _LOSES_BITS),
    )


class DecodedImages(ABC):
    """Decoded images (C, H, W) of files, as uint8; what is not there is decoded.

    `nbytes` are the bytes of all of them.
    """

    def __init__(self, paths: Sequence[Path], mode: Mode, size: Size) -> None:
        self.paths = tuple(paths)
        self.shape = ({"L": 1, "RGB": 3}[mode], *size)

    @property
    def nbytes(self) -> int:
        return len(self.paths) * int(np.prod(self.shape))

    def read(self, places: Sequence[int], decode: Decode, warn: Warn) -> Tensor:
        """The images at these places; `warn` hears of each that something must be said of."""
        images = np.empty((len(places), *self.shape), np.uint8)
        for at, place in enumerate(places):
            remark = self._fill(place, images[at], decode)
            if remark != Remark():
                warn(place, remark)
        return torch.from_numpy(images)

    @abstractmethod
    def _fill(self, place: int, out: NDArray[np.uint8], decode: Decode) -> Remark:
        """Fill `out` with an image; return what must be said of it."""


@final
class MemoryImages(DecodedImages):
    """In the memory of this process: each image from when it is read first."""

    def __init__(self, paths: Sequence[Path], mode: Mode, size: Size) -> None:
        super().__init__(paths, mode, size)
        self._begin()

    def _begin(self) -> None:
        count = len(self.paths)
        # Pages of zeros take no memory before they are written to.
        self._images = np.zeros((count, *self.shape), np.uint8)
        self._flags = np.zeros(count, np.uint8)
        self._stamps: list[Stamp] = [UNKNOWN] * count

    def _fill(self, place: int, out: NDArray[np.uint8], decode: Decode) -> Remark:
        stamp = stamp_of(self.paths[place])
        if stamp == UNKNOWN or self._stamps[place] != stamp:
            # Another thread that reads it meanwhile decodes it too.
            self._stamps[place] = UNKNOWN
            self._images[place], remark = decode_image(place, decode)
            self._flags[place] = flags_of(remark)
            self._stamps[place] = stamp
        out[:] = self._images[place]
        return remark_of(int(self._flags[place]))

    def __getstate__(self) -> dict[str, Any]:
        """Without the images: a process that gets a copy of the source fills its own memory."""
        return {"paths": self.paths, "shape": self.shape}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()


def stamp_of(path: Path) -> Stamp:
    """What changes with the content of a file; `UNKNOWN` where it cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return UNKNOWN
    return status.st_size, status.st_mtime_ns


def decode_image(place: int, decode: Decode) -> tuple[NDArray[np.uint8], Remark]:
    """An image, and what must be said of it."""
    image, remark = with_remark(lambda on_remark: decode(place, on_remark))
    return image.numpy(), remark
