"""What samplers know of labels: two kinds of strata cover all target types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Partition:
    """Every sample belongs to one class (code >= 0) or to none (-1).

    A support has exactly k samples of each class.
    """

    codes: NDArray[np.signedinteger[Any]]
    num_classes: int


@dataclass(frozen=True, eq=False)
class Cover:
    """Every sample answers every label with yes (1), no (0) or unknown (-1).

    A support has at least k samples of both answers.
    """

    answers: NDArray[np.signedinteger[Any]]

    @property
    def num_classes(self) -> int:
        return int(self.answers.shape[1])


Strata = Partition | Cover
