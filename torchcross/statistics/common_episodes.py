"""Which episodes may be compared: those that every algorithm of a row scored.

If each mean were over its own episodes, an algorithm that diverges where episodes are hard would be
the best of its row. Algorithms that scored too few episodes are set aside.

Episodes are the same if their seed and number are, and if the text that describes what was scored
is equal. An experiment makes that text in `torchcross.experiment.rows.target_episodes`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

from torchcross.records.records import Records

Scores = Mapping[int, Mapping[int, float]]
"""Training seed -> episode -> value, NaN where undefined."""


@final
@dataclass(frozen=True, slots=True)
class CommonEpisodes:
    """The defined `scores` of each algorithm in the episodes that count.

    Algorithms that are `aside` scored too few episodes: they take none away from the others, and
    keep their own. `scored` counts what at least one algorithm scored, over all training seeds.
    `is_empty`: the others have no episode in common, and each keeps its own.
    """

    scores: Mapping[str, Scores]
    aside: tuple[str, ...]
    scored: int
    is_empty: bool

    @property
    def compared_algorithms(self) -> tuple[str, ...]:
        """The algorithms that have their episodes in common."""
        return (
            () if self.is_empty else tuple(name for name in self.scores if name not in self.aside)
        )

    def count(self, algorithm: str) -> int:
        return sum(map(len, self.scores[algorithm].values()))


def scores_of(records: Records) -> dict[str, Scores]:
    """The values of each algorithm by training seed and episode, in their order."""
    columns = records.columns
    names = ("seed", "episode", "algorithm", "value")
    rows = zip(*(columns[name].tolist() for name in names), strict=True)
    scores: dict[str, dict[int, dict[int, float]]] = {
        name: {} for name in records.unique("algorithm")
    }
    for seed, episode, algorithm, value in sorted(rows, key=lambda row: row[:2]):
        scores[algorithm].setdefault(seed, {})[episode] = value
    return dict(scores)


def groups_by_episodes(algorithms: Iterable[str], episodes: Mapping[str, str]) -> list[list[str]]:
    """The algorithms that were scored on the same episodes, group by group.

    `episodes` identifies those of an algorithm. Two algorithms without such a text are alike.
    """
    groups: dict[str | None, list[str]] = {}
    for name in algorithms:
        groups.setdefault(episodes.get(name), []).append(name)
    return list(groups.values())


def common_episodes(scores: Mapping[str, Scores]) -> CommonEpisodes:
    """The episodes that all algorithms scored: equal episodes have one seed and one number.

    An episode that an algorithm has no row of, or NaN, is lost to all algorithms in that training
    seed. An algorithm without any score of the seed loses it in all its seeds. A seed in which an
    algorithm has no score at all takes no single episode away from the others. While this leaves an
    algorithm fewer than half of what all algorithms together scored, those that scored the smallest
    share are set aside, unless none would be left.
    """
    defined: dict[str, Scores] = {}
    for name, rows in scores.items():
        known = {seed: _defined_values(values) for seed, values in rows.items()}
        defined[name] = {seed: values for seed, values in known.items() if values}
    seeds = {seed for rows in defined.values() for seed in rows}
    scored = {seed: _union(rows.get(seed, ()) for rows in defined.values()) for seed in seeds}
    remaining = defined
    common = _in_common(remaining, scored)
    while len(remaining) > 1 and min(_share(rows, scored) for rows in common.values()) < 0.5:
        shares = {name: _share(rows, scored) for name, rows in remaining.items()}
        smallest = min(shares.values())
        if smallest == max(shares.values()):
            break
        remaining = {name: rows for name, rows in remaining.items() if shares[name] > smallest}
        common = _in_common(remaining, scored)
    is_empty = not all(any(rows.values()) for rows in common.values())
    return CommonEpisodes(
        defined if is_empty else defined | common,
        tuple(name for name in defined if name not in remaining),
        sum(map(len, scored.values())),
        is_empty,
    )


def _in_common(
    algorithms: Mapping[str, Scores], scored: Mapping[int, set[int]]
) -> dict[str, Scores]:
    missing = {
        name: {seed: scored[seed] - row.keys() for seed, row in rows.items()}
        for name, rows in algorithms.items()
    }
    missing_anywhere = {name: _union(by_seed.values()) for name, by_seed in missing.items()}
    common: dict[str, dict[int, dict[int, float]]] = {}
    for name, rows in algorithms.items():
        common[name] = {}
        for seed, row in rows.items():
            lost = _union(
                by_seed.get(seed, missing_anywhere[other]) for other, by_seed in missing.items()
            )
            common[name][seed] = {e: value for e, value in row.items() if e not in lost}
    return dict(common)


def _share(rows: Scores, scored: Mapping[int, set[int]]) -> float:
    return sum(map(len, rows.values())) / max(1, sum(len(scored[seed]) for seed in rows))


def _defined_values(row: Mapping[int, float]) -> dict[int, float]:
    return {episode: value for episode, value in row.items() if not math.isnan(value)}


def _union(sets: Iterable[Iterable[int]]) -> set[int]:
    return set().union(*sets)
