"""Within one target: the mean and interval of each algorithm, the best one, and its ties."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross.errors import InputError
from torchcross.records.records import Records
from torchcross.statistics.bounds import Bounds, bounds_of
from torchcross.statistics.common_episodes import (
    CommonEpisodes,
    Scores,
    common_episodes,
    groups_by_episodes,
    scores_of,
)
from torchcross.statistics.comparison import Comparison, ComparisonRow, Pair
from torchcross.statistics.comparison_notes import group_notes, pair_notes, row_notes
from torchcross.statistics.draws import Draws
from torchcross.statistics.image_effects import NEAR_ZERO
from torchcross.statistics.intervals import (
    ONE_VALUE,
    RESAMPLES,
    check_level,
    check_method,
    join_notes,
    mean_interval,
    over_images,
)
from torchcross.statistics.pairs import (
    Difference,
    difference_over_images,
    holm,
    paired_difference,
    seeded_pairs,
    without_rounding,
)
from torchcross.statistics.seeds import ONE_SEED, seeded_interval, seeded_law

LOWER_IS_BETTER: Final = frozenset({"mae"})
"""Metrics whose smaller value is the better one."""

ONE_NUMBER: Final = "one number per seed: no interval over test images"


def within_target(
    records: Records,
    target: str,
    metric: str,
    shots: int,
    *,
    method: str = "t",
    level: float = 0.95,
    seed: int = 0,
    episodes: Mapping[str, str] | None = None,
    draws: Mapping[str, Draws] | None = None,
) -> Comparison:
    """Compare the algorithms on one target, over the episodes that all of them scored.

    With one training seed an interval is over episodes (`method` of `mean_interval`) and a test is
    the paired t test. With several they are those of `hierarchical_interval` and
    `seeded_difference`. Pairs are of the same seed and episode. Every pair of algorithms is tested
    and p corrected by Holm's method over all of them, so that the ties of the best hold although
    the same numbers chose the best.

    An episode that one algorithm left undefined counts for none. An algorithm that would take more
    than half of the episodes from the others is not compared. `episodes` identifies, by any text
    such as a digest, the episodes on which each algorithm was scored: algorithms with different
    texts (or one without) are not paired, and there is no best.

    `draws` are those of the episodes of each algorithm. With them intervals and tests, and so ties,
    are over images, and those over episodes of these images are in `these_images`. An algorithm
    without draws has intervals over episodes only.
    """
    check_level(level)
    check_method(method)
    records = records.where(target=target, metric=metric, shots=shots)
    check_rows(records, f"metric {metric!r} at {shots} shots of {target!r}")
    scores = scores_of(records)
    groups = [
        common_episodes({name: scores[name] for name in names})
        for names in groups_by_episodes(scores, episodes or {})
    ]
    common = {name: rows for group in groups for name, rows in group.scores.items()}
    compared = {name for group in groups for name in group.compared_algorithms}
    how = _Method(method, level, seed, draws or {}, bounds_of(metric))
    rows = tuple(_row(name, scores[name], common[name], name in compared, how) for name in scores)
    pairs = _pairs(groups, how)
    lower = lower_is_better(metric)
    best = _best(rows, lower) if len(groups) == 1 else ""
    notes = [*group_notes(groups), *row_notes(rows, records), *pair_notes(rows, pairs)]
    if better := _better_in_pairs(pairs, best, lower):
        notes.append(
            f"{best} has the best mean, and {better} the better one on the episodes of both: no"
            " best is marked"
        )
        best = ""
    # Not `p > 1 - level`: a pair whose p is NaN is not separated either.
    ties = {pair.other(best) for pair in pairs if best in pair.names and not pair.p <= 1 - level}
    return Comparison(
        target,
        metric,
        shots,
        rows,
        pairs,
        best,
        tuple(name for name in scores if name in ties),
        level,
        tuple(notes),
        same_episodes=len(groups) == 1,
    )


def lower_is_better(metric: str) -> bool:
    """Whether the smaller value of a metric is the better one."""
    return metric in LOWER_IS_BETTER


def check_rows(records: Records, description: str) -> None:
    """Refuse rows of which no mean can be taken: none, of several runs, or twice the same."""
    if not len(records):
        raise InputError(
            f"there are no records of {description}; see records.unique('target'), 'metric' and"
            " 'shots'"
        )
    for name in records.unique("algorithm"):
        if len(runs := records.where(algorithm=name).unique("run")) > 1:
            raise InputError(
                f"{name!r} has records of {description} in several runs {list(runs)}; choose one"
                " with records.where(run=...), or give the algorithms different names"
            )
    if repeated := records.repeated_keys():
        raise InputError(
            f"{len(repeated)} records of {description} stand twice, the first {repeated[0]}; read"
            " each table once"
        )


@final
@dataclass(frozen=True, slots=True)
class _Method:
    """How intervals and tests of one comparison are computed."""

    method: str
    level: float
    seed: int
    draws: Mapping[str, Draws]
    bounds: Bounds | None


def _row(name: str, scores: Scores, common: Scores, compared: bool, how: _Method) -> ComparisonRow:
    """`scores` are all values of the algorithm, `common` those in the episodes that count."""
    episodes, table = _table(common)
    law = seeded_law(table, how.draws.get(name), episodes)
    if len(table) > 1:
        interval, notes = seeded_interval(table, True, how.level, how.seed, RESAMPLES), []
    else:
        row = table[0] if table else ()
        interval = mean_interval(row, method=how.method, level=how.level, seed=how.seed)
        notes = [ONE_SEED]
    interval = over_images(interval, law, how.bounds)
    values = [value for by_episode in scores.values() for value in by_episode.values()]
    undefined = sum(map(math.isnan, values))
    if undefined:
        notes.append(f"{undefined} of {len(values)} values undefined, left out")
    notes.append(interval.note)
    if interval.n < len(values) - undefined:
        notes.append(
            f"over {interval.n} of {len(values)} values, of the episodes that every algorithm"
            " scored"
        )
    if len(values) == len(scores):
        notes = [ONE_NUMBER, *(note for note in notes if note != ONE_VALUE)]
    interval = replace(interval, undefined=undefined, note=join_notes(*notes))
    seeds = tuple(number for number in scores if common.get(number)) or tuple(scores)
    return ComparisonRow(name, interval, seeds, compared)


def _table(scores: Scores) -> tuple[list[int], list[NDArray[np.float64]]]:
    """The episodes, and a row for each training seed that has a value; NaN in gaps."""
    rows = [row for row in scores.values() if row]
    episodes = sorted({episode for row in rows for episode in row})
    return episodes, [
        np.array([row.get(episode, math.nan) for episode in episodes]) for row in rows
    ]


def _pairs(groups: Sequence[CommonEpisodes], how: _Method) -> tuple[Pair, ...]:
    names, differences = [], []
    for group in groups:
        for first, second in combinations(group.compared_algorithms, 2):
            names.append((first, second))
            # Algorithms of one group were scored on the same episodes.
            draws = how.draws.get(first) or how.draws.get(second)
            differences.append(_difference(group.scores[first], group.scores[second], draws, how))
    adjusted = holm([difference.p for difference in differences]).tolist()
    return tuple(
        Pair(first, second, difference, p)
        for (first, second), difference, p in zip(names, differences, adjusted, strict=True)
    )


def _difference(first: Scores, second: Scores, draws: Draws | None, how: _Method) -> Difference:
    keys = [
        (number, episode)
        for number, row in first.items()
        for episode in sorted(row.keys() & second.get(number, {}).keys())
    ]
    x = np.array([first[number][episode] for number, episode in keys])
    y = np.array([second[number][episode] for number, episode in keys])
    if len({number for number, _ in keys}) < 2:
        numbers = [episode for _, episode in keys]
        return paired_difference(
            x,
            y,
            method=how.method,
            level=how.level,
            seed=how.seed,
            draws=draws,
            episodes=numbers,
        )
    # Over all seeds at once: the differences of one seed alone do not show which are only rounding.
    differences = without_rounding(x - y, x, y).tolist()
    table: dict[int, dict[int, float]] = {}
    for (number, episode), difference in zip(keys, differences, strict=True):
        table.setdefault(number, {})[episode] = difference
    episodes, rows = _table(table)
    law = seeded_law(rows, draws, episodes, NEAR_ZERO)
    return difference_over_images(seeded_pairs(rows, True, how.level), law, len(keys))


def _best(rows: Sequence[ComparisonRow], lower: bool) -> str:
    means = {row.algorithm: row.interval.mean for row in rows if row.compared}
    choose = min if lower else max
    return choose(means, key=means.__getitem__, default="")


def _better_in_pairs(pairs: Iterable[Pair], best: str, lower: bool) -> str:
    """Which algorithm is better than the best where both were scored, or "".

    With different training seeds there can be one.
    """
    for pair in pairs:
        if best in pair.names:
            lead = pair.difference.mean if pair.first == best else -pair.difference.mean
            if lead > 0 if lower else lead < 0:
                return pair.other(best)
    return ""
