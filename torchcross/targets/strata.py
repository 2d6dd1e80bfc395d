"""How a sampler may see labels: two shapes of strata cover every target type, so samplers never ask
for the type.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cover", "Partition", "Strata"]


@dataclass(frozen=True, eq=False)
class Partition:
    """Every sample belongs to one class (code >= 0) or to none (code -1): supports hold exactly k
    of each class.
    """

    codes: NDArray[np.signedinteger[Any]]
    num_classes: int


@dataclass(frozen=True, eq=False)
class Cover:
    """Every sample answers every label with yes (1), no (0) or unknown (-1): supports hold at least
    k of both.
    """

    answers: NDArray[np.signedinteger[Any]]

    @property
    def num_classes(self) -> int:
        return int(self.answers.shape[1])


Strata = Partition | Cover
