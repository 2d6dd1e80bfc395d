"""A dataset as far as it can be read: what one file lacks does not keep the others from being
looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.format.info import DatasetInfo
from medimeta_adapter.format.splits import SPLITS
from torchcross._kit.arrays import Indices

__all__ = ["SPLITS", "Opened"]


@dataclass(eq=False)
class Opened:
    """What was read of one dataset. Labels, splits and subjects hold only what is sound."""

    folder: Path
    info: DatasetInfo
    boundary: Path | None = None
    """What links may not lead out of."""
    labels: dict[str, NDArray[Any]] = field(default_factory=dict)
    splits: dict[str, Indices] = field(default_factory=dict)
    original_splits: dict[str, Indices] = field(default_factory=dict)
    subjects: NDArray[Any] | None = None

    @property
    def name(self) -> str:
        return self.info.id

    @property
    def count(self) -> int:
        return self.info.total_num_samples

    def split_codes(self) -> NDArray[np.int8]:
        """The split of every row: a place in SPLITS, or -1."""
        codes = np.full(self.count, -1, dtype=np.int8)
        for code, name in enumerate(SPLITS):
            codes[self.splits.get(name, np.zeros(0, dtype=np.int64))] = code
        return codes
