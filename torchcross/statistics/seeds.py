"""A mean over several training seeds: how far it may be off, and an interval that resamples seeds,
then episodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross.errors import InputError
from torchcross.statistics.intervals import (
    RESAMPLES,
    Interval,
    as_values,
    check_level,
    check_resamples,
    mean_of,
    noted,
    without_spread,
)
from torchcross.statistics.resampling import crossed_means, nested_means
from torchcross.statistics.special_functions import t_quantile, t_two_sided

__all__ = [
    "ONE_SEED",
    "SEEDED",
    "Spread",
    "hierarchical_interval",
    "seeded_interval",
    "spread_of",
    "with_seeds",
]

Floats = NDArray[np.float64]
ONE_SEED: Final = "training variance was not measured: there is one training seed"
SEEDED: Final = "hierarchical bootstrap"
_FEW = 3
_SMALLEST_LOG_P = -700.0


@final
@dataclass(frozen=True, slots=True)
class Spread:
    """The squared standard errors of a mean that are due to training seeds and to episodes, with
    their degrees of freedom. Where there is nothing to estimate one from it is 0.

    The squared half-width of an interval is the sum of the squares of two: of the t interval over
    the means of the seeds, and of the one over the means of the episodes. For normal effects this
    covers at least what it promises, whatever the two variances are (Banerjee 1960); what seeds and
    episodes do together is in both, and counts twice.
    """

    by_seed: float
    seeds: int
    by_episode: float
    episodes: int

    def half(self, level: float) -> float:
        return self._half((1 - level) / 2)

    def p_of(self, mean: float) -> float:
        """The two-sided p of no difference: 1 - the level at which the interval about `mean` ends
        at 0.
        """
        if not self.by_episode or not self.by_seed:
            squares, degrees = (
                (self.by_seed, self.seeds) if self.by_seed else (self.by_episode, self.episodes)
            )
            return t_two_sided(degrees, mean / math.sqrt(squares))
        low, high = _SMALLEST_LOG_P, 0.0
        while high - low > 1e-13 * max(1.0, -high):
            middle = (low + high) / 2
            low, high = (
                (middle, high) if self._half(math.exp(middle) / 2) > abs(mean) else (low, middle)
            )
        return math.exp(high)

    def _half(self, tail: float) -> float:
        parts = ((self.by_seed, self.seeds), (self.by_episode, self.episodes))
        return math.sqrt(
            math.fsum(
                square * t_quantile(degrees, tail) ** 2 for square, degrees in parts if square
            )
        )


def spread_of(rows: Sequence[Floats], shared: bool) -> Spread | None:
    """How far the mean of a (training seeds x episodes) table may be off; None with fewer than two
    seeds.

    NaN cells are left out. Rows that do not share their episodes vary by seed alone: a seed's mean
    brings the spread of its own episodes along.
    """
    by_seed, seeds = _squared_error(rows)
    if not seeds:
        return None
    by_episode, episodes = _squared_error(list(np.stack(rows).T)) if shared else (0.0, 0)
    if not by_seed and not by_episode:
        # Means that agree, by seed and by episode, of values that do not: nothing but the values
        # can tell.
        by_episode, episodes = _squared_error(
            [cell for row in rows for cell in np.split(row, len(row))]
        )
    return Spread(by_seed, seeds, by_episode, episodes)


def _squared_error(groups: Sequence[Floats]) -> tuple[float, int]:
    """That of the mean of all values if the groups' means vary, with its degrees of freedom."""
    defined = [np.sort(group[~np.isnan(group)]) for group in groups]
    defined = [group for group in defined if len(group)]
    if len(defined) < 2:
        return 0.0, 0
    means = [mean_of(group) for group in defined]
    centre = math.fsum(means) / len(means)
    variance = math.fsum((mean - centre) ** 2 for mean in means) / (len(means) - 1)
    rounding = 8 * np.finfo(np.float64).eps * max(map(abs, means))
    sizes = np.array([len(group) for group in defined], dtype=np.float64)
    share = float((sizes**2).sum() / sizes.sum() ** 2)
    return (variance * share if max(means) - min(means) > rounding else 0.0), len(means) - 1


def hierarchical_interval(
    groups: Sequence[ArrayLike],
    *,
    shared_episodes: bool = True,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Interval:
    """The mean over training seeds and episodes, by a bootstrap that resamples the seeds, then the
    episodes.

    `groups` has the values of one training seed each. With `shared_episodes` they are equally long,
    place i of each being the same episode, and every resampled seed meets the same resampled
    episodes; otherwise each seed's are drawn anew. A bootstrap of few seeds is too narrow, by more
    than the variance that it misses: it has no t quantile. So its quantiles say how the interval
    lies about the mean, and its width is twice `Spread.half`. One seed gives the bootstrap over its
    episodes alone, and its note says so.
    """
    check_level(level)
    check_resamples(resamples)
    rows = [as_values(group, "a group of values") for group in groups]
    if not rows or not all(len(row) for row in rows):
        raise InputError(
            "hierarchical_interval got no groups, or an empty one; give the values of each training"
            " seed"
        )
    if shared_episodes and len({len(row) for row in rows}) > 1:
        raise InputError(
            f"the training seeds have {sorted({len(row) for row in rows})} values, so they cannot"
            " be the same episodes; give NaN where one is undefined, or shared_episodes=False"
        )
    given = np.concatenate(rows)
    found = seeded_interval(rows, shared_episodes, level, seed, resamples)
    return noted(replace(found, undefined=len(given) - found.n), len(given))


def seeded_interval(
    rows: Sequence[Floats], shared: bool, level: float, seed: int, resamples: int
) -> Interval:
    """The same where NaN means that there is no value, and nothing that is to be counted."""
    values = np.sort(np.concatenate(rows))
    values = values[~np.isnan(values)]
    rows = [row for row in rows if not np.isnan(row).all()]
    if (found := without_spread(values, SEEDED, level)) is None:
        low, high = _bounds(rows, shared, level, seed, resamples)
        found = Interval(mean_of(values), low, high, len(values), SEEDED, level)
    return with_seeds(found, max(1, len(rows)))


def _bounds(
    rows: Sequence[Floats], shared: bool, level: float, seed: int, resamples: int
) -> tuple[float, float]:
    means = (
        crossed_means(np.stack(rows), seed, resamples)
        if shared
        else nested_means(rows, seed, resamples)
    )
    low, high = np.quantile(means[~np.isnan(means)], [(1 - level) / 2, (1 + level) / 2])
    spread = spread_of(rows, shared)
    if spread is None:
        return float(low), float(high)
    given = np.concatenate(rows)
    mean = mean_of(given[~np.isnan(given)])
    below, above = max(0.0, mean - float(low)), max(0.0, float(high) - mean)
    if not below + above:
        below = above = 1.0
    width = 2 * spread.half(level)
    return mean - width * below / (below + above), mean + width * above / (below + above)


def with_seeds(found: Interval, seeds: int) -> Interval:
    """The same interval, saying what it does not cover, or why it is wide."""
    if seeds > _FEW:
        return found
    if seeds == 1:
        said = ONE_SEED
    else:
        quantile = t_quantile(seeds - 1, (1 + found.level) / 2)
        said = (
            f"{seeds} training seeds are few, and intervals wide: Student's t for what they differ"
            f" by is {quantile:.1f}"
        )
    return replace(found, note="; ".join(filter(None, (said, found.note))))
