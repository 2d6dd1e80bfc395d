"""Two views of the episodes of one target: with failures counted, and those all algorithms scored.

How intervals and tests are computed stands in `MeanOptions`, which both views share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices
from torchcross.statistics.bounds import Bounds
from torchcross.statistics.common_episodes import (
    CommonEpisodes,
    Scores,
    common_episodes,
    groups_by_episodes,
)
from torchcross.statistics.draws import Draws
from torchcross.statistics.failures import CountedFailures, Reasons, count_failures
from torchcross.statistics.image_effects import ImageLaw
from torchcross.statistics.intervals import (
    RESAMPLES,
    Interval,
    kept_in_bounds,
    mean_interval,
    over_images,
)
from torchcross.statistics.pairs import (
    Difference,
    difference_over_images,
    paired_difference,
    seeded_pairs,
    without_rounding,
)
from torchcross.statistics.seeds import seeded_interval, seeded_law


@final
@dataclass(frozen=True, slots=True)
class Views:
    """Algorithms on the same episodes: `counted` with failures, `common` without them.

    `common` is None where nothing failed: it would be the same.
    """

    counted: CommonEpisodes
    common: CommonEpisodes | None
    failures: CountedFailures


def views_of(
    scores: Mapping[str, Scores],
    reasons: Reasons,
    metric: str,
    episodes: Mapping[str, str],
    chance: float | None,
) -> list[Views]:
    """The views of each group of algorithms that were scored on the same episodes."""
    views = []
    for names in groups_by_episodes(scores, episodes):
        group = {name: scores[name] for name in names}
        failures = count_failures(group, reasons, metric, chance)
        common = common_episodes(group) if failures else None
        views.append(Views(common_episodes(failures.scores), common, failures))
    return views


@final
@dataclass(frozen=True, slots=True)
class MeanOptions:
    """How intervals and tests of one comparison are computed."""

    method: str
    level: float
    seed: int
    draws: Mapping[str, Draws]
    bounds: Bounds | None

    def interval(self, algorithm: str, scores: Scores) -> Interval:
        episodes, table = score_table(scores)
        law = seeded_law(table, self.draws.get(algorithm), episodes)
        if len(table) > 1:
            interval = seeded_interval(table, True, self.level, self.seed, RESAMPLES)
        else:
            row = table[0] if table else ()
            interval = mean_interval(row, method=self.method, level=self.level, seed=self.seed)
        return over_images(kept_in_bounds(interval, self.bounds), law, self.bounds)

    def difference(self, names: tuple[str, str], first: Scores, second: Scores) -> Difference:
        """Of the seeds and episodes that both algorithms scored."""
        return self.pairs_of(names, first, second).difference(self.level)

    def pairs_of(self, names: tuple[str, str], first: Scores, second: Scores) -> PairedScores:
        # Algorithms that are paired were scored on the same episodes.
        draws = self.draws.get(names[0]) or self.draws.get(names[1])
        keys = [
            (number, episode)
            for number, row in first.items()
            for episode in sorted(row.keys() & second.get(number, {}).keys())
        ]
        x = np.array([first[number][episode] for number, episode in keys])
        y = np.array([second[number][episode] for number, episode in keys])
        seeds = list(dict.fromkeys(number for number, _ in keys))
        episodes = sorted({episode for _, episode in keys})
        rows = np.array([seeds.index(number) for number, _ in keys], dtype=np.int64)
        columns = np.searchsorted(episodes, [episode for _, episode in keys])
        pairs = PairedScores(self.method, self.seed, x, y, rows, columns, None)
        return replace(pairs, law=seeded_law(pairs.differences(), draws, episodes))


@final
@dataclass(frozen=True, eq=False, slots=True)
class PairedScores:
    """The scores x and y of two algorithms, each pair of one training seed and one episode.

    `rows` are the places of their training seeds, `columns` those of their episodes. `law` is what
    images contribute to the mean difference; no number that is subtracted changes it.
    """

    method: str
    seed: int
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    rows: Indices
    columns: Indices
    law: ImageLaw | str | None

    def differences(self, shift: float = 0.0) -> list[NDArray[np.float64]]:
        """Rows of x - shift - y, one for each training seed; NaN where there is no pair."""
        if not len(self.x):
            return []
        # Over all seeds at once: those of one seed alone do not show which are only rounding.
        x = self.x - shift
        table = np.full((self.rows.max() + 1, self.columns.max() + 1), math.nan)
        table[self.rows, self.columns] = without_rounding(x - self.y, x, self.y)
        return list(table)

    def difference(self, level: float, shift: float = 0.0) -> Difference:
        if not len(self.x) or not self.rows.max():
            x = self.x - shift
            plain = paired_difference(x, self.y, method=self.method, level=level, seed=self.seed)
        else:
            plain = seeded_pairs(self.differences(shift), True, level)
        return difference_over_images(plain, self.law, len(self.x))


def score_table(scores: Scores) -> tuple[list[int], list[NDArray[np.float64]]]:
    """The episodes, and a row for each training seed that has a value; NaN in gaps."""
    rows = [row for row in scores.values() if row]
    episodes = sorted({episode for row in rows for episode in row})
    table = [np.array([row.get(episode, math.nan) for episode in episodes]) for row in rows]
    return episodes, table


def values_in(scores: Scores) -> Iterable[float]:
    return (value for row in scores.values() for value in row.values())
