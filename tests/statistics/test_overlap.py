"""What episodes have in common, against whole matrices: eigenvalues, directions, rare strata."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.statistics.drawn import draws_of, overlapping_draws
from torchcross.statistics import Draws
from torchcross.statistics.overlap import Overlap, overlap_of

FEWEST = 10
"""A stratum of as many images is one of its own, one of fewer is pooled with the others."""


def whole_residuals(draws: Draws) -> NDArray[np.float64]:
    """R, from its definition: draws minus what is expected of so many draws of each stratum."""
    episodes, images = len(draws.episode_numbers), len(draws.drawn)
    counts = np.zeros((episodes, images))
    places = np.searchsorted(draws.drawn, draws.images)
    counts[np.searchsorted(draws.episode_numbers, draws.episodes), places] = 1
    sizes = draws.stratum_images[draws.strata]
    strata = np.where(sizes < FEWEST, -1, draws.strata)
    residuals = counts.copy()
    for stratum in np.unique(strata):
        own = strata == stratum
        shares = counts[:, own].sum(axis=0) / counts[:, own].sum()
        residuals[:, own] -= counts[:, own].sum(axis=1)[:, None] * shares
    return residuals / np.sqrt(counts.sum() / episodes)


def with_rare_strata(rng: np.random.Generator, episodes: int) -> Draws:
    """Strata of 30, of just enough, of just too few, and of a few images."""
    strata = np.repeat(np.arange(5), [30, FEWEST, FEWEST - 1, 3, 1])
    rows = [rng.choice(len(strata), rng.integers(8, 16), replace=False) for _ in range(episodes)]
    return draws_of(rows, strata)


def drawn(name: str) -> Draws:
    rng = np.random.default_rng(5)
    if name == "more images":
        return overlapping_draws(rng, episodes=24, images=30, drawn=6)
    if name == "more episodes":
        return overlapping_draws(rng, episodes=40, images=12, drawn=5)
    return with_rare_strata(rng, 24 if name == "rare strata" else 80)


@pytest.mark.parametrize(
    "name", ["more images", "more episodes", "rare strata", "rare strata in more episodes"]
)
def test_eigenvalues_are_those_of_the_whole_matrix(name: str) -> None:
    draws = drawn(name)
    overlap = overlap_of(draws, draws.episode_numbers)
    assert isinstance(overlap, Overlap)
    residuals = whole_residuals(draws)
    np.testing.assert_allclose(residuals.sum(axis=0), 0, atol=1e-12)
    products = residuals @ residuals.T
    expected = np.linalg.eigvalsh(products)
    expected = expected[expected > 1e-9]
    np.testing.assert_allclose(np.sort(overlap.eigenvalues), expected, rtol=1e-9)
    directions = overlap.directions
    np.testing.assert_allclose(directions @ directions.T, np.eye(len(expected)), atol=1e-9)
    np.testing.assert_allclose(
        directions.T @ (overlap.eigenvalues[:, None] * directions), products, atol=1e-9
    )
