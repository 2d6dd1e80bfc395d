"""All labels in the files of a run: they stand there as 0 shots, as they always have.

The name of the row says which of the two a 0 is: it is all labels in the files of `supervised`, and
no support set in those of others. So earlier versions read these files, and their runs go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from torchcross.experiment.rows.methods import is_supervised
from torchcross.records import ALL_SHOTS

STORED_ALL_SHOTS: Final = 0


def stored_shots(shots: int) -> int:
    """As it stands in a file, and in its name."""
    return STORED_ALL_SHOTS if shots == ALL_SHOTS else shots


def shots_of_stored(row: str, shots: int) -> int:
    """What a number in a file of this row stands for."""
    is_all = is_supervised(row) and shots == STORED_ALL_SHOTS
    return ALL_SHOTS if is_all else shots


def as_scored(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What a file of `episodes/` says, with its shots as they are."""
    return {**stored, "shots": shots_of_stored(stored["algorithm"], stored["shots"])}


def shots_in_memory(rows: NDArray[Any], shots: NDArray[np.int64]) -> NDArray[np.int64]:
    """A column of stored shots, as they are; `rows` are the names of the rows."""
    supervised = [row for row in np.unique(rows.astype(str)) if is_supervised(str(row))]
    is_all = np.isin(rows.astype(str), supervised) & (shots == STORED_ALL_SHOTS)
    return np.where(is_all, ALL_SHOTS, shots)
