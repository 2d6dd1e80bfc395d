"""Maps and trees of distances: exact where the tasks lie in a plane, the same however turned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from torchcross.errors import InputError
from torchcross.transfer.similarity.geometry import (
    TaskDistances,
    classical_scaling,
    linkage_tree,
)


def between(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None] - points[None], axis=2)


@given(st.integers(0, 10_000), st.integers(3, 12))
@max_examples(20)
def test_points_of_a_plane_are_found_again(seed: int, count: int) -> None:
    distances = between(np.random.default_rng(seed).normal(size=(count, 2)))
    points, share = classical_scaling(distances)
    assert between(points) == pytest.approx(distances, abs=1e-8)
    assert share == pytest.approx(1)
    assert all(column[np.abs(column).argmax()] > 0 for column in points.T)


def test_tasks_of_one_place_and_a_task_alone() -> None:
    points, share = classical_scaling(np.zeros((3, 3)))
    assert not points.any()
    assert share == 1
    assert classical_scaling(np.zeros((1, 1)))[0].tolist() == [[0, 0]]
    assert linkage_tree(np.zeros((1, 1))) == ([], [0])


def test_a_tree_of_complete_linkage() -> None:
    distances = between(np.array([[0.0], [1.0], [10.0], [12.0]]))
    merges, order = linkage_tree(distances)
    assert merges[:2] == [(0, 1, 1.0), (2, 3, 2.0)]
    assert merges[2][2] == 12.0
    assert order in ([0, 1, 2, 3], [3, 2, 1, 0])


def test_distances_that_make_no_map() -> None:
    names = ("a", "b")
    with pytest.raises(InputError, match="'a' and 'b' is missing"):
        TaskDistances(names, np.array([[0, np.nan], [np.nan, 0]]))
    with pytest.raises(InputError, match="'a' to 'b' is 1, and back it is 2"):
        TaskDistances(names, np.array([[0.0, 1.0], [2.0, 0.0]]))
    with pytest.raises(InputError, match="stand twice"):
        TaskDistances(("a", "a"), np.zeros((2, 2)))
    with pytest.raises(InputError, match="have the shape"):
        TaskDistances(names, np.zeros((3, 3)))
