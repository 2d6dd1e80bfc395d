"""Estimators of the variance over images, side by side: `benchmarks.coverage --estimators`."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.equal_algorithms import Setting, generator, repetition
from torchcross.statistics import Draws
from torchcross.statistics.image_effects import image_law
from torchcross.statistics.overlap import Overlap, overlap_of
from torchcross.statistics.special_functions import normal_cdf

Floats = NDArray[np.float64]
_PRIORS: Final = {"uniform prior": 1.0, "prior near 0": 0.25}


def estimators(setting: Setting, repetitions: int) -> dict[str, tuple[float, float, float]]:
    """For each estimator: coverage of a mean, size of a pair that is alike and of one unlike."""
    rng = generator(setting)
    rows = [repetition(setting, rng) for _ in range(repetitions)]
    p_values = []
    truth = float(np.mean([one.scores.mean() for one in rows]))
    for one in rows:
        first, alike, unlike = one.scores[:, 0]
        columns = (first - truth, first - alike, first - unlike)
        p_values.append([list(_p_values(values, one.draws).values()) for values in columns])
    rejected = (np.array(p_values) <= 0.05).mean(axis=0)
    names = list(_p_values(rows[0].scores[0, 0], rows[0].draws))
    return {
        name: (1 - float(mean), float(alike), float(unlike))
        for name, (mean, alike, unlike) in zip(names, rejected.T, strict=True)
    }


def _p_values(values: Floats, draws: Draws) -> dict[str, float]:
    mean, n = float(values.mean()), len(values)
    of_episodes = float(values.var(ddof=1)) / n
    total = max(0.0, jackknife_variance(values, draws)) + of_episodes
    overlap = overlap_of(draws, draws.episode_numbers)
    if not isinstance(overlap, Overlap):
        raise ValueError(f"these draws have no overlap to compare by: {overlap}")
    laws = {name: image_law(values, overlap, prior) for name, prior in _PRIORS.items()}
    return {
        "episodes": _normal_p(mean, of_episodes),
        "jackknife": _normal_p(mean, total),
        **{name: law.p_of(mean) for name, law in laws.items()},
    }


def _normal_p(mean: float, variance: float) -> float:
    return 2 * float(normal_cdf(-abs(mean) / np.sqrt(variance)))


def jackknife_variance(values: Floats, draws: Draws) -> float:
    """The infinitesimal jackknife of a mean over images, minus its Monte Carlo bias.

    For image i of a class of n images, of which an episode draws m: psi_i = Cov_e(N_ei, score_e)
    (n - 1) / n / (1 - m / n), and the variance is the sum over classes of n / (n - 1) sum psi_i^2.
    """
    episodes = len(values)
    counts = np.zeros((episodes, len(draws.drawn)))
    rows = np.searchsorted(draws.episode_numbers, draws.episodes)
    counts[rows, np.searchsorted(draws.drawn, draws.images)] = 1
    n = draws.stratum_images[draws.strata]
    drawn = np.bincount(draws.strata, weights=counts.mean(axis=0))[draws.strata]
    factor = (n - 1) / n / (1 - drawn / n)
    residuals = counts - counts.mean(axis=0)
    psi = factor * (residuals.T @ values) / episodes
    bias = factor**2 * residuals.var(axis=0) * values.var() / episodes
    return float((n / (n - 1) * (psi**2 - bias)).sum())
