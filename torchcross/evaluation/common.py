"""Which episodes may be compared: those that every algorithm of a row scored, and who is set aside for scoring too few.

An algorithm that diverges where episodes are hard would be the best of its row if each mean were over its own episodes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

from torchcross.evaluation.records import Records

__all__ = ["Common", "Scores", "common_episodes", "scores_of"]

Scores = Mapping[int, Mapping[int, float]]
"""Training seed -> episode -> value, NaN where undefined."""


@final
@dataclass(frozen=True, slots=True)
class Common:
    """`kept` has for each algorithm its defined values in the episodes that count, by training seed.

    Those `aside` scored fewer than half of the episodes that anyone scored: they take no episode away from the others,
    and keep what they have. `scored` counts what at least one algorithm scored, over all training seeds. `nothing` says that the others have no episode in common; then each keeps its own.
    """

    kept: Mapping[str, Scores]
    aside: tuple[str, ...]
    nothing: bool
    scored: int

    @property
    def compared(self) -> tuple[str, ...]:
        return tuple(name for name in self.kept if name not in self.aside)

    def counts(self, algorithm: str) -> int:
        return sum(map(len, self.kept[algorithm].values()))


def scores_of(records: Records) -> dict[str, Scores]:
    """The values of each algorithm by training seed and episode, in their order."""
    columns = records.columns
    found: dict[str, dict[int, dict[int, float]]] = {name: {} for name in records.unique("algorithm")}
    rows = zip(*(columns[name].tolist() for name in ("seed", "episode", "algorithm", "value")), strict=True)
    for seed, episode, algorithm, value in sorted(rows, key=lambda row: row[:2]):
        found[algorithm].setdefault(seed, {})[episode] = value
    return dict(found)


def common_episodes(scores: Mapping[str, Scores]) -> Common:
    """The episodes that all algorithms scored, seed by seed.

    An episode that an algorithm has no row of, or NaN, is lost to all algorithms in that training seed; to those that
    were not trained with the seed, it is lost in all of theirs.
    """
    defined = {name: {seed: _defined(row) for seed, row in rows.items()} for name, rows in scores.items()}
    seeds = {seed for rows in defined.values() for seed in rows}
    scored = {seed: _union(rows.get(seed, ()) for rows in defined.values()) for seed in seeds}
    aside = tuple(name for name, rows in defined.items() if _is_sparse(rows, scored))
    gaps = {
        name: {seed: scored[seed] - row.keys() for seed, row in rows.items()}
        for name, rows in defined.items()
        if name not in aside
    }
    kept: dict[str, Scores] = {}
    for name, rows in defined.items():
        if name in aside:
            kept[name] = rows
            continue
        lost = {seed: _union(theirs.get(seed, _union(theirs.values())) for theirs in gaps.values()) for seed in rows}
        kept[name] = {seed: {e: value for e, value in row.items() if e not in lost[seed]} for seed, row in rows.items()}
    nothing = any(not any(kept[name].values()) for name in gaps)
    return Common(defined if nothing else kept, aside, nothing, sum(map(len, scored.values())))


def _defined(row: Mapping[int, float]) -> dict[int, float]:
    return {episode: value for episode, value in row.items() if not math.isnan(value)}


def _is_sparse(rows: Scores, scored: Mapping[int, set[int]]) -> bool:
    return 2 * sum(map(len, rows.values())) < sum(len(scored[seed]) for seed in rows) or not any(rows.values())


def _union(sets: Iterable[Iterable[int]]) -> set[int]:
    return {episode for one in sets for episode in one}
