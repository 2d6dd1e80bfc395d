"""A mean over several training seeds: its standard errors, and an interval that resamples seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross.errors import InputError
from torchcross.statistics.bounds import Bounds, check_bounds
from torchcross.statistics.draws import Draws
from torchcross.statistics.image_effects import ImageLaw
from torchcross.statistics.image_level import law_or_reason
from torchcross.statistics.intervals import (
    RESAMPLES,
    Interval,
    as_values,
    binary_exponent,
    check_level,
    check_resamples,
    in_bounds,
    join_notes,
    mean_interval,
    mean_of,
    no_interval_at_end,
    over_images,
    with_undefined,
    without_spread,
)
from torchcross.statistics.resampling import crossed_means, nested_means
from torchcross.statistics.roots import crossing
from torchcross.statistics.special_functions import t_quantile, t_two_sided

Floats = NDArray[np.float64]
ONE_SEED: Final = "training variance was not measured: there is one training seed"
SEEDED: Final = "hierarchical bootstrap"
_FEW_SEEDS = 3
_SMALLEST_LOG_P = -700.0


@final
@dataclass(frozen=True, slots=True)
class Spread:
    """The squared standard errors of a mean by training seeds and by episodes.

    Each has its degrees of freedom; an error that cannot be estimated is 0. The squared half-width
    of an interval is the sum of the squares of two: of the t interval over the means of the seeds,
    and of the one over the means of the episodes. For normal effects this covers at least what it
    promises, whatever the two variances are (Banerjee 1960); the interaction of seeds and episodes
    is in both, and counts twice.
    """

    by_seed: float
    seeds: int
    by_episode: float
    episodes: int

    def half(self, level: float) -> float:
        return self._half((1 - level) / 2)

    def p_of(self, mean: float) -> float:
        """The two-sided p of no difference.

        It is 1 - the level at which the interval about `mean` ends at 0.
        """
        if not self.by_episode:
            return t_two_sided(self.seeds, mean / math.sqrt(self.by_seed))
        if not self.by_seed:
            return t_two_sided(self.episodes, mean / math.sqrt(self.by_episode))
        # The half-width falls as p grows.

        def excess(log_p: float) -> float:
            return self._half(math.exp(log_p) / 2) - abs(mean)

        return math.exp(crossing(excess, _SMALLEST_LOG_P, 0.0, 1e-13))

    def _half(self, tail: float) -> float:
        parts = ((self.by_seed, self.seeds), (self.by_episode, self.episodes))
        return math.hypot(
            *(math.sqrt(square) * t_quantile(degrees, tail) for square, degrees in parts if square)
        )


def seeded_law(
    rows: Sequence[Floats],
    draws: Draws | None,
    episodes: ArrayLike | None,
) -> ImageLaw | str | None:
    """The law of the mean of a (training seeds x episodes) table over images.

    It is that of the episodes' means over the training seeds: what images contribute does not
    shrink with more seeds.
    """
    means = episode_means(rows) if draws is not None and len(rows) else np.empty(0)
    law = law_or_reason(means, draws, episodes)
    if not isinstance(law, ImageLaw):
        return law
    by_seed, seeds = _squared_error([row.tolist() for row in rows])
    return replace(law, by_seed=by_seed, seeds=seeds)


def episode_means(rows: Sequence[Floats]) -> Floats:
    """The mean of each episode over the training seeds; NaN where none has a value."""
    table = np.stack(rows)
    counts = np.count_nonzero(~np.isnan(table), axis=0)
    sums = np.where(np.isnan(table), 0.0, table / len(rows)).sum(axis=0) * len(rows)
    means: Floats = np.where(counts > 0, sums / np.maximum(1, counts), np.nan)
    return means


def spread_of(rows: Sequence[Floats], shared: bool) -> Spread | None:
    """The spread of the mean of a (training seeds x episodes) table; None of fewer than two seeds.

    NaN cells are left out. Rows that do not share their episodes vary by seed alone: a seed's mean
    has the spread of its own episodes in it.
    """
    by_seed, seeds = _squared_error([row.tolist() for row in rows])
    if not seeds:
        return None
    by_episode, episodes = _squared_error(np.stack(rows).T.tolist()) if shared else (0.0, 0)
    if not by_seed and not by_episode:
        # The means agree, by seed and by episode, and the values do not: only they have a spread.
        by_episode, episodes = _squared_error([[cell] for row in rows for cell in row.tolist()])
    return Spread(by_seed, seeds, by_episode, episodes)


def _squared_error(groups: Sequence[list[float]]) -> tuple[float, int]:
    """That of the mean of all values if the groups' means vary, with its degrees of freedom."""
    # Lists: for groups of a few values they are faster than arrays.
    defined = [[value for value in group if not math.isnan(value)] for group in groups]
    defined = [group for group in defined if group]
    if len(defined) < 2:
        return 0.0, 0
    means = [math.fsum(group) / len(group) for group in defined]
    degrees = len(means) - 1
    rounding = 8 * np.finfo(np.float64).eps * max(map(abs, means))
    if max(means) - min(means) <= rounding:
        return 0.0, degrees
    centre = math.fsum(means) / len(means)
    variance = math.fsum((mean - centre) ** 2 for mean in means) / degrees
    # Groups of n_i values weigh n_i / sum n: the error of the mean is var * sum (n_i / sum n)^2.
    sizes = np.array([len(group) for group in defined], dtype=np.float64)
    return variance * float((sizes**2).sum() / sizes.sum() ** 2), degrees


def hierarchical_interval(
    groups: Sequence[ArrayLike],
    *,
    shared_episodes: bool = True,
    level: float = 0.95,
    seed: int = 0,
    resamples: int = RESAMPLES,
    draws: Draws | None = None,
    episodes: ArrayLike | None = None,
    bounds: Bounds | None = None,
) -> Interval:
    """The mean over training seeds and episodes, by a bootstrap that resamples both.

    `groups` has the values of one training seed each. With `shared_episodes` they are equally long,
    place i of each is the same episode, and every resampled seed meets the same resampled episodes;
    otherwise each seed's episodes are resampled by themselves. A bootstrap of few seeds is too
    narrow, by more than the variance that it misses: it has no t quantile. So its quantiles only
    say how the interval lies about the mean, and its width is twice `Spread.half`. One seed gives
    the bootstrap over its episodes alone, and its note says so.

    With `draws` the interval is over images and training seeds; `draws`, `episodes` (the number of
    each place of a row) and `bounds` are those of `mean_interval`.
    """
    check_level(level)
    check_resamples(resamples)
    rows = [as_values(group, "a group of values") for group in groups]
    lengths = {len(row) for row in rows}
    if not rows or 0 in lengths:
        raise InputError(
            "hierarchical_interval got no groups, or an empty one; give the values of each training"
            " seed"
        )
    if shared_episodes and len(lengths) > 1:
        raise InputError(
            f"the training seeds have {sorted(lengths)} values, so they cannot be the same"
            " episodes; give NaN where one is undefined, or shared_episodes=False"
        )
    check_shared(shared_episodes, draws)
    check_bounds(bounds, np.concatenate(rows))
    law = seeded_law(rows, draws, episodes)
    interval = seeded_interval(rows, shared_episodes, level, seed, resamples, law, bounds)
    return with_undefined(interval, sum(map(len, rows)))


def check_shared(shared: bool, draws: Draws | None) -> None:
    """Refuse draws of training seeds that do not share their episodes."""
    if draws is not None and not shared:
        raise InputError(
            "draws are of episodes that all training seeds share; leave shared_episodes=False out,"
            " or the draws"
        )


def seeded_interval(
    rows: Sequence[Floats],
    shared: bool,
    level: float,
    seed: int,
    resamples: int,
    law: ImageLaw | str | None = None,
    bounds: Bounds | None = None,
) -> Interval:
    """The same of checked rows, where NaN is no value and is not counted as undefined."""
    rows = [row for row in rows if not np.isnan(row).all()]
    values = np.sort(np.concatenate(rows)) if rows else np.empty(0)
    values = values[~np.isnan(values)]
    interval = without_spread(values, SEEDED, level)
    if interval is None:
        exponent = binary_exponent(values)
        scaled = [np.ldexp(row, -exponent) for row in rows]
        low, high = np.ldexp(_bounds(scaled, shared, level, seed, resamples), exponent).tolist()
        interval = Interval(mean_of(values), low, high, len(values), SEEDED, level)
        interval = in_bounds(interval, bounds)
    interval = over_images(no_interval_at_end(interval, bounds), law, bounds)
    return with_seed_note(interval, max(1, len(rows)))


def _bounds(
    rows: Sequence[Floats], shared: bool, level: float, seed: int, resamples: int
) -> tuple[float, float]:
    if shared:
        means = crossed_means(np.stack(rows), seed, resamples)
    else:
        means = nested_means(rows, seed, resamples)
    low, high = np.quantile(means[~np.isnan(means)], [(1 - level) / 2, (1 + level) / 2]).tolist()
    spread = spread_of(rows, shared)
    if spread is None:
        return low, high
    values = np.concatenate(rows)
    mean = mean_of(values[~np.isnan(values)])
    below, above = max(0.0, mean - low), max(0.0, high - mean)
    if not below + above:
        below = above = 1.0
    width = 2 * spread.half(level)
    return mean - width * below / (below + above), mean + width * above / (below + above)


def with_seed_note(interval: Interval, seeds: int) -> Interval:
    """The interval, with a note of what it does not cover, or why it is wide."""
    if seeds > _FEW_SEEDS:
        return interval
    note = ONE_SEED
    if seeds > 1:
        quantile = t_quantile(seeds - 1, (1 + interval.level) / 2)
        note = (
            f"{seeds} training seeds are few, so intervals are wide: the quantile of Student's t"
            f" between them is {quantile:.1f}"
        )
    return replace(interval, note=join_notes(note, interval.note))


def interval_of_seeds(
    values: Sequence[ArrayLike],
    episodes: Sequence[ArrayLike],
    *,
    method: str = "t",
    level: float = 0.95,
    draws: Draws | None = None,
) -> Interval:
    """The mean over training seeds, each with the values of its `episodes`, or of the only one.

    `draws` count where all seeds have the same episodes.
    """
    shared = all(np.array_equal(each, episodes[0]) for each in episodes)
    draws = draws if shared else None
    of_draws = episodes[0] if draws is not None else None
    if len(values) == 1:
        return mean_interval(values[0], method=method, level=level, draws=draws, episodes=of_draws)
    return hierarchical_interval(
        values, shared_episodes=shared, level=level, draws=draws, episodes=of_draws
    )
