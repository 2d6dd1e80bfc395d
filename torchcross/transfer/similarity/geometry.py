"""Distances of tasks as pictures: a map (classical scaling) and a tree (complete linkage)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross._kit.argument_checks import repeated_names
from torchcross.errors import InputError

Floats = NDArray[np.float64]


@final
@dataclass(frozen=True, eq=False)
class TaskDistances:
    """values[i, j] is the distance of tasks i and j: all of them, symmetric, 0 on themselves."""

    names: tuple[str, ...]
    values: Floats

    def __post_init__(self) -> None:
        shape = (len(self.names), len(self.names))
        if twice := repeated_names(self.names):
            raise InputError(f"the tasks {twice} stand twice; give each once")
        if self.values.shape != shape:
            raise InputError(
                f"distances of {len(self.names)} tasks have the shape {self.values.shape}; give"
                f" {shape}"
            )
        for one, other in zip(*np.nonzero(np.isnan(self.values)), strict=True):
            raise InputError(
                f"the distance of {self.names[one]!r} and {self.names[other]!r} is missing; give it"
                " or leave one of them out"
            )
        uneven = np.abs(self.values - self.values.T) > 1e-9 * max(np.abs(self.values).max(), 1e-300)
        for one, other in zip(*np.nonzero(uneven), strict=True):
            raise InputError(
                f"the distance of {self.names[one]!r} to {self.names[other]!r} is"
                f" {self.values[one, other]:g}, and back it is {self.values[other, one]:g}; give"
                " distances that are the same both ways"
            )


def classical_scaling(distances: ArrayLike, dimensions: int = 2) -> tuple[Floats, float]:
    """Points of a plane whose distances are near to the given ones, and how much they say.

    The squared distances are centred in rows and columns; the points are eigenvectors of the
    result, by the largest eigenvalues. The largest entry of each is positive, so that the map is
    always the same one. What they say is their share of the sum of all absolute eigenvalues.
    """
    squared = np.asarray(distances, dtype=np.float64) ** 2
    rows = squared.mean(axis=1, keepdims=True)
    centred = -(squared - rows - rows.T + squared.mean()) / 2
    eigenvalues, vectors = np.linalg.eigh(centred)
    order = np.argsort(-eigenvalues)[:dimensions]
    chosen = np.maximum(eigenvalues[order], 0)
    points = np.zeros((len(squared), dimensions))
    points[:, : len(order)] = vectors[:, order] * np.sqrt(chosen)
    for column in points.T:
        # Entries of equal size: the first of them, or rounding would choose.
        largest = np.flatnonzero(np.abs(column) >= np.abs(column).max(initial=0) * (1 - 1e-9))
        if len(largest) and column[largest[0]] < 0:
            column *= -1
    total = float(np.abs(eigenvalues).sum())
    return points, float(chosen.sum()) / total if total else 1.0


def linkage_tree(distances: ArrayLike) -> tuple[list[tuple[int, int, float]], list[int]]:
    """(merges, the order of the tasks) of complete linkage, similar neighbours side by side.

    A merge is (one, other, height), where numbers from len(distances) on are earlier merges.
    """
    from scipy.cluster import hierarchy
    from scipy.spatial.distance import squareform

    matrix = np.asarray(distances, dtype=np.float64)
    if len(matrix) < 2:
        return [], list(range(len(matrix)))
    condensed = squareform((matrix + matrix.T) / 2, checks=False)
    tree = hierarchy.linkage(condensed, "complete", optimal_ordering=True)
    merges = [(int(one), int(other), float(height)) for one, other, height, _ in tree]
    return merges, [int(place) for place in hierarchy.leaves_list(tree)]
