"""How many samples an info.yaml may claim: as many as its label files can hold."""

from __future__ import annotations

import stat
from pathlib import Path

from medimeta_adapter.format.info import DatasetInfo

__all__ = ["unbelievable"]

_BELIEVED = 1 << 20


def unbelievable(folder: Path, info: DatasetInfo) -> str:
    """Why so many samples cannot be, or nothing. Memory is taken by their number; a label takes a
    byte at least.
    """
    largest = max(
        (_size(folder / "task_labels" / f"{task.name}.npy") for task in info.tasks), default=0
    )
    if info.total_num_samples <= max(largest, _BELIEVED):
        return ""
    return f"{info.total_num_samples:,} samples, and the largest label file has {largest:,} bytes"


def _size(path: Path) -> int:
    """Of a regular file; 0 where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0
