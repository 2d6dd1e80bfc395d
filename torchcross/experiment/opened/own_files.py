"""Files of one's own images, support and query read alike, with warnings where they differ."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from torchcross._kit.backgrounds import Background
from torchcross.data.sources.flattening import (
    Flattening,
    ImageWarnings,
    OnRemark,
    Remark,
    checked_background,
    checked_bits,
    with_remark,
)
from torchcross.data.sources.image_reading import read_image_file
from torchcross.data.sources.images import Mode, Size
from torchcross.errors import TorchcrossWarning


@final
class OwnImageReader:
    """Reads image files in one form, first those of the support set."""

    def __init__(self, mode: Mode, size: Size, *, bits: int | None, background: Background) -> None:
        self._mode: Mode = mode
        self._size = size
        self._bits = checked_bits(bits, "predict_images")
        self._background = checked_background(background, "predict_images")
        self._support_warnings = ImageWarnings("the support set", self._background)
        self._query_warnings = ImageWarnings("the query images", self._background)
        self._support_depths: set[bool] = set()
        self._has_compared = False

    def read_support(self, paths: Sequence[Path]) -> Tensor:
        images = []
        for path in paths:
            image, remark = self._read(path)
            self._support_warnings.warn(f"file {path}", remark)
            self._support_depths.add(remark.is_deep)
            images.append(image)
        return torch.stack(images)

    def read_query(self, paths: Sequence[Path]) -> Tensor:
        images = []
        for path in paths:
            image, remark = self._read(path)
            self._query_warnings.warn(f"file {path}", remark)
            self._compare_depth(path, remark)
            images.append(image)
        return torch.stack(images)

    def _read(self, path: Path) -> tuple[Tensor, Remark]:
        def read(on_remark: OnRemark) -> Tensor:
            flattening = Flattening(self._background, self._bits, on_remark)
            return read_image_file(path, self._mode, self._size, flattening)

        return with_remark(read)

    def _compare_depth(self, path: Path, remark: Remark) -> None:
        """Warn once of a depth that no image of the support has and that nobody vouched for."""
        is_known = self._bits is not None or not self._support_depths
        if self._has_compared or is_known or remark.is_deep in self._support_depths:
            return
        self._has_compared = True
        here, there = ("16", "8") if remark.is_deep else ("8", "16")
        warnings.warn(
            f"file {path} of the query images has {here} bits, and the support set has {there}: the"
            " same grey may have another value in both, and predictions mean little then; give"
            " --bits N (in Python, bits=N), how many the values of the 16-bit files have (8 to 16),"
            " or files of one depth. Further such images are not named",
            TorchcrossWarning,
            stacklevel=2,
        )
