"""The embedding of a task: one number for each filter of a probe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class TaskEmbedding:
    """The Fisher information of each filter of a probe under a task.

    name     of the task
    probe    what the network was: its name or the hash of its weights
    values   one number for each filter, in the order of the probe's layers
    scale    the same for a trivial task, whose labels tell nothing: 1 / the mean squared weight of
             the filter's layer
    images   how many images it is of
    layers   (name of the layer, number of filters)
    absent   classes without an image, which were left out
    """

    name: str
    probe: str
    values: Floats
    scale: Floats
    images: int
    layers: tuple[tuple[str, int], ...]
    absent: tuple[str, ...] = ()

    def trivial(self) -> TaskEmbedding:
        """The embedding of a task whose labels tell nothing, under the same probe."""
        return replace(self, name="trivial", values=self.scale)

    def __repr__(self) -> str:
        return f"TaskEmbedding({self.name!r}: {len(self.values)} filters, {self.images} images)"
