"""Two views of the episodes of one target: with failures counted, and those all algorithms scored.

How intervals and tests are computed stands in `MeanOptions`, which both views share.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from torchcross.statistics.bounds import Bounds
from torchcross.statistics.common_episodes import (
    CommonEpisodes,
    Scores,
    common_episodes,
    groups_by_episodes,
)
from torchcross.statistics.draws import Draws
from torchcross.statistics.failures import CountedFailures, Reasons, count_failures
from torchcross.statistics.intervals import RESAMPLES, Interval, mean_interval, over_images
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
        return over_images(interval, law, self.bounds)

    def difference(self, names: tuple[str, str], first: Scores, second: Scores) -> Difference:
        """Of the seeds and episodes that both algorithms scored."""
        # Algorithms that are paired were scored on the same episodes.
        draws = self.draws.get(names[0]) or self.draws.get(names[1])
        keys = [
            (number, episode)
            for number, row in first.items()
            for episode in sorted(row.keys() & second.get(number, {}).keys())
        ]
        x = np.array([first[number][episode] for number, episode in keys])
        y = np.array([second[number][episode] for number, episode in keys])
        if len({number for number, _ in keys}) < 2:
            return paired_difference(
                x,
                y,
                method=self.method,
                level=self.level,
                seed=self.seed,
                draws=draws,
                episodes=[episode for _, episode in keys],
            )
        # Over all seeds at once: those of one seed alone do not show which are only rounding.
        differences = without_rounding(x - y, x, y).tolist()
        table: dict[int, dict[int, float]] = {}
        for (number, episode), difference in zip(keys, differences, strict=True):
            table.setdefault(number, {})[episode] = difference
        episodes, rows = score_table(table)
        law = seeded_law(rows, draws, episodes)
        return difference_over_images(seeded_pairs(rows, True, self.level), law, len(keys))


def score_table(scores: Scores) -> tuple[list[int], list[NDArray[np.float64]]]:
    """The episodes, and a row for each training seed that has a value; NaN in gaps."""
    rows = [row for row in scores.values() if row]
    episodes = sorted({episode for row in rows for episode in row})
    table = [np.array([row.get(episode, math.nan) for episode in episodes]) for row in rows]
    return episodes, table


def minus(scores: Scores, number: float) -> Scores:
    """Every score minus a number."""
    return {
        seed: {episode: value - number for episode, value in row.items()}
        for seed, row in scores.items()
    }


def values_in(scores: Scores) -> Iterable[float]:
    return (value for row in scores.values() for value in row.values())
