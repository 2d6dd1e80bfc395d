"""Images in one array, and what its shape and its values say about their layout."""

from __future__ import annotations

import mmap
import warnings
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from torchcross._kit.arrays import Indices
from torchcross.data.sources.images import first_and_last, rows_at
from torchcross.data.sources.source import TaskSource
from torchcross.errors import SourceError, TorchcrossWarning
from torchcross.task import Task

_SMALLEST_SIDE: Final = 8
"""An axis as long as this may be a side of an image."""
_COLOURS: Final = (3, 4)
_LIKELY_BYTES: Final = (16.0, 255.0)
"""Floats from 0 whose largest value lies here are most likely 0..255."""


class TensorSource(TaskSource):
    """Images in one array: a tensor, a numpy array or a memory map, (N, C, H, W) or any (N, ...).

    `channels="last"` takes arrays of shape (N, H, W, C) and returns images with channels first. An
    array that looks like images without an axis of channels, or with that axis last, is refused;
    `channels="first"` takes it as it is.
    Values and dtype stay as they are. An HDF5 dataset works too, as does anything with a shape, a
    dtype and rows at sorted, distinct indices; its first and last row are read now, as a check.

    >>> from torchcross.targets import MultiClass
    >>> task = tx.Task("shape", MultiClass(["disc", "star"]), domain="toys")
    >>> source = tx.TensorSource(np.zeros((10, 1, 16, 16), dtype=np.uint8), np.arange(10) % 2, task)
    >>> len(source), source.images(np.array([0, 3])).shape
    (10, torch.Size([2, 1, 16, 16]))
    """

    def __init__(
        self,
        images: Tensor | NDArray[Any],
        labels: Any,
        task: Task,
        *,
        groups: Any = None,
        name: str | None = None,
        channels: Literal["first", "last"] | None = None,
    ) -> None:
        super().__init__(task, labels, groups=groups, name=name)
        if not hasattr(images, "shape") or not hasattr(images, "dtype"):
            raise SourceError(
                f"source {self.name!r} got images of type {type(images).__name__}; give a tensor or"
                " an array"
            )
        if len(images.shape) == 0 or images.shape[0] != len(self):
            count = images.shape[0] if len(images.shape) else "a scalar"
            raise SourceError(
                f"source {self.name!r} has {count} images and {len(self)} labels; give one label"
                " per image"
            )
        is_known = channels in (None, "first", "last")
        if not is_known or (channels == "last" and len(images.shape) != 4):
            raise SourceError(
                f"source {self.name!r} got channels={channels!r} with images of shape"
                f" {tuple(images.shape)}; channels is 'first', or 'last' for images of shape (N, H,"
                " W, C)"
            )
        self._images = images
        self._channels_last = channels == "last"
        ends = first_and_last(images, self.name)
        if channels is None:
            _refuse_likely_layouts(tuple(images.shape), self.name)
        if ends is not None:
            _warn_of_likely_bytes(ends, self.name)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle a memory map as the place of its file, not as its content."""
        images = self._images
        base: object = images.base if isinstance(images, np.memmap) else None
        if isinstance(images, np.memmap) and isinstance(base, mmap.mmap):
            return self.__dict__ | {"_images": _MappedFile.of(images)}
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        images = state["_images"]
        if isinstance(images, _MappedFile):
            state = state | {"_images": images.open()}
        super().__setstate__(state)

    def images(self, indices: Indices) -> Tensor:
        images = rows_at(self._images, indices)
        return images.movedim(-1, 1).contiguous() if self._channels_last else images


@dataclass(frozen=True)
class _MappedFile:
    """Where a memory map is, to open it again in another process."""

    path: str
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    order: Literal["C", "F"]

    @classmethod
    def of(cls, images: np.memmap[Any, Any]) -> _MappedFile:
        order: Literal["C", "F"] = "C" if images.flags.c_contiguous else "F"
        return cls(str(images.filename), images.offset, images.dtype, images.shape, order)

    def open(self) -> np.memmap[Any, Any]:
        return np.memmap(self.path, self.dtype, "r", self.offset, self.shape, self.order)


def _refuse_likely_layouts(shape: tuple[int, ...], name: str) -> None:
    """Refuse grey images without an axis of channels, and colours in the last axis."""
    has_sides = [side >= _SMALLEST_SIDE for side in shape[1:]]
    if len(shape) == 3 and all(has_sides):
        raise SourceError(
            f"source {name!r} got images of shape {shape}, which look like grey images without an"
            " axis of channels; give images[:, None], of shape (N, 1, H, W), or channels='first' if"
            f" each is a signal of {shape[1]} channels"
        )
    if len(shape) == 4 and shape[3] in _COLOURS and all(has_sides[:2]):
        raise SourceError(
            f"source {name!r} got images of shape {shape}, which look like (N, H, W, C); give"
            f" channels='last', or channels='first' if {shape[1]} is the number of channels"
        )


def _warn_of_likely_bytes(ends: Tensor, name: str) -> None:
    """Warn where the first and the last image are floats of 0..255."""
    is_image = ends.ndim == 4 and min(ends.shape[2:]) >= _SMALLEST_SIDE
    if not (is_image and ends.is_floating_point() and ends.shape[1]):
        return
    least, most = _LIKELY_BYTES
    if float(ends.min()) >= 0 and least < float(ends.max()) <= most:
        warnings.warn(
            f"source {name!r} has float images with values up to {float(ends.max()):g}, and"
            " networks take floats of 0..1; divide by 255, or give uint8 images, which are divided"
            " for you",
            TorchcrossWarning,
            stacklevel=3,
        )
