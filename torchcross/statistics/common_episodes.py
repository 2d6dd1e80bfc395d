"""Which episodes may be compared: those that every algorithm of a row scored, and who is set aside
for scoring too few.

An algorithm that diverges where episodes are hard would be the best of its row if each mean were
over its own episodes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

from torchcross.records.records import Records

__all__ = ["Common", "Scores", "common_episodes", "scores_of"]

Scores = Mapping[int, Mapping[int, float]]
"""Training seed -> episode -> value, NaN where undefined."""


@final
@dataclass(frozen=True, slots=True)
class Common:
    """`kept` has for each algorithm its defined values in the episodes that count, by training
    seed.

    Those `aside` scored too few: they take no episode away from the others, and keep what they
    have. `scored` counts what at least one algorithm scored, over all training seeds. With
    `nothing` the others have no episode in common, and each keeps its own.
    """

    kept: Mapping[str, Scores]
    aside: tuple[str, ...]
    scored: int
    nothing: bool

    @property
    def compared(self) -> tuple[str, ...]:
        """The algorithms that are left, with the episodes of all of them."""
        return () if self.nothing else tuple(name for name in self.kept if name not in self.aside)

    def count(self, algorithm: str) -> int:
        return sum(map(len, self.kept[algorithm].values()))


def scores_of(records: Records) -> dict[str, Scores]:
    """The values of each algorithm by training seed and episode, in their order."""
    columns = records.columns
    found: dict[str, dict[int, dict[int, float]]] = {
        name: {} for name in records.unique("algorithm")
    }
    rows = zip(
        *(columns[name].tolist() for name in ("seed", "episode", "algorithm", "value")), strict=True
    )
    for seed, episode, algorithm, value in sorted(rows, key=lambda row: row[:2]):
        found[algorithm].setdefault(seed, {})[episode] = value
    return dict(found)


def common_episodes(scores: Mapping[str, Scores]) -> Common:
    """The episodes that all algorithms scored, seed by seed.

    An episode that an algorithm has no row of, or NaN, is lost to all algorithms in that training
    seed; to those that have no score of the seed, it is lost in all of theirs. A seed without any
    score tells nothing of single episodes: the others keep it. While that leaves an algorithm fewer
    than half of what anyone scored, those that scored the smallest share are set aside, unless
    nobody would be left.
    """
    defined = {
        name: {seed: row for seed, values in rows.items() if (row := _defined(values))}
        for name, rows in scores.items()
    }
    seeds = {seed for rows in defined.values() for seed in rows}
    scored = {seed: _union(rows.get(seed, ()) for rows in defined.values()) for seed in seeds}
    left = dict(defined)
    kept = _in_common(left, scored)
    while len(left) > 1 and min(_share(rows, scored) for rows in kept.values()) < 0.5:
        shares = {name: _share(rows, scored) for name, rows in left.items()}
        if min(shares.values()) == max(shares.values()):
            break
        left = {name: rows for name, rows in left.items() if shares[name] > min(shares.values())}
        kept = _in_common(left, scored)
    nothing = not all(any(rows.values()) for rows in kept.values())
    aside = tuple(name for name in defined if name not in left)
    return Common(
        {**defined, **({} if nothing else kept)}, aside, sum(map(len, scored.values())), nothing
    )


def _in_common(left: Mapping[str, Scores], scored: Mapping[int, set[int]]) -> dict[str, Scores]:
    gaps = {
        name: {seed: scored[seed] - row.keys() for seed, row in rows.items()}
        for name, rows in left.items()
    }
    anywhere = {name: _union(found.values()) for name, found in gaps.items()}
    kept: dict[str, Scores] = {}
    for name, rows in left.items():
        lost = {
            seed: _union(theirs.get(seed, anywhere[other]) for other, theirs in gaps.items())
            for seed in rows
        }
        kept[name] = {
            seed: {e: value for e, value in row.items() if e not in lost[seed]}
            for seed, row in rows.items()
        }
    return kept


def _share(rows: Scores, scored: Mapping[int, set[int]]) -> float:
    return sum(map(len, rows.values())) / max(1, sum(len(scored[seed]) for seed in rows))


def _defined(row: Mapping[int, float]) -> dict[int, float]:
    return {episode: value for episode, value in row.items() if not math.isnan(value)}


def _union(sets: Iterable[Iterable[int]]) -> set[int]:
    return {episode for one in sets for episode in one}
