"""How many samples an info.yaml may claim: as many as its label files can hold."""

from __future__ import annotations

import stat
from pathlib import Path

from medimeta_adapter.format.info import DatasetInfo

_ALWAYS_POSSIBLE = 1 << 20


def sample_count_problem(folder: Path, info: DatasetInfo) -> str:
    """Return why a dataset cannot have so many samples, or an empty text.

    Memory is allocated by this number, and a short info.yaml can claim any. A label takes a byte at
    least.
    """
    paths = [folder / "task_labels" / f"{task.name}.npy" for task in info.tasks]
    largest = max(map(_file_size, paths), default=0)
    if info.total_num_samples <= max(largest, _ALWAYS_POSSIBLE):
        return ""
    return f"{info.total_num_samples:,} samples, and the largest label file has {largest:,} bytes"


def _file_size(path: Path) -> int:
    """Return the size of a regular file, and 0 where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
