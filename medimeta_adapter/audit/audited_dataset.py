"""A dataset as far as it can be read: if one file is broken, the others are still checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.format.info import DatasetInfo
from medimeta_adapter.format.splits import SPLITS
from torchcross._kit.arrays import Indices


@dataclass(eq=False)
class AuditedDataset:
    """What was read of one dataset. Labels, splits and subjects hold only what is valid."""

    folder: Path
    info: DatasetInfo
    boundary: Path | None = None
    """Links may not lead out of this folder."""
    labels: dict[str, NDArray[Any]] = field(default_factory=dict)
    splits: dict[str, Indices] = field(default_factory=dict)
    original_splits: dict[str, Indices] = field(default_factory=dict)
    subjects: NDArray[Any] | None = None
    named_subjects: NDArray[Any] | None = None
    """The subjects without those that have no name, each once."""

    @property
    def name(self) -> str:
        return self.info.id

    @property
    def count(self) -> int:
        return self.info.total_num_samples

    def split_codes(self) -> NDArray[np.int8]:
        """Return the split of every row as an index of SPLITS; -1 is no split."""
        codes = np.full(self.count, -1, dtype=np.int8)
        for name, rows in self.splits.items():
            codes[rows] = SPLITS.index(name)
        return codes
