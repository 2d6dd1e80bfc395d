"""Notes of a comparison: what was left out, what was not measured, what could not be tested."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from torchcross.records.records import Records
from torchcross.statistics.common_episodes import CommonEpisodes
from torchcross.statistics.comparison import ComparisonRow, Pair
from torchcross.statistics.views import Views

_MOST_REASONS = 3


def group_notes(groups: Sequence[CommonEpisodes]) -> Iterator[str]:
    """Which algorithms have no episodes in common with the others."""
    if len(groups) > 1:
        names = " | ".join(", ".join(group.scores) for group in groups)
        yield f"not the same episodes ({names}): they are not paired, and no best is marked"
    for group in groups:
        for name in group.aside:
            yield (
                f"{name} is not compared: it scored {group.count(name) or 'none'} of {group.scored}"
                " values"
            )
        if group.is_empty and group.scored:
            names = ", ".join(name for name in group.scores if name not in group.aside)
            yield f"{names} have no episode in common: they are not compared"
        elif group.is_empty:
            yield "no algorithm scored an episode"


def failure_notes(
    rows: Sequence[ComparisonRow], views: Sequence[Views], records: Records
) -> Iterator[str]:
    """Who failed how often and why, what that counts as, and the means without it."""
    for view in views:
        for name, count in view.failures.counts.items():
            if count:
                reasons = _reasons(records, name)
                yield f"{name}: {count} failed, each counts as {view.failures.name}{reasons}"
    common = [row for row in rows if row.common is not None and row.common.n < row.interval.n]
    if common:
        means = ", ".join(f"{row.algorithm} {row.common}" for row in common)
        yield f"over the episodes that every algorithm scored: {means}"


def _reasons(records: Records, algorithm: str) -> str:
    """The reasons of the undefined values of an algorithm, in brackets."""
    rows = records.where(algorithm=algorithm)
    reasons = rows[np.isnan(rows.columns["value"])].unique("reason")[:_MOST_REASONS]
    return f" ({', '.join(reasons)})" if reasons else ""


def row_notes(rows: Sequence[ComparisonRow], records: Records) -> Iterator[str]:
    """The notes of the intervals: those of all rows first, the others with their algorithms."""
    if len({row.seeds for row in rows if row.compared}) > 1:
        yield (
            "the algorithms have scores of different training seeds: pairs are of the seeds in"
            " common"
        )
    notes = {row.algorithm: row.interval.note.split("; ") for row in rows}
    first, *others = notes.values()
    common = [note for note in first if note and all(note in other for other in others)]
    yield from common
    algorithms: dict[str, list[str]] = {}
    for name, parts in notes.items():
        for note in parts:
            if note and note not in common:
                text = note + (_reasons(records, name) if "undefined" in note else "")
                algorithms.setdefault(text, []).append(name)
    for text, names in algorithms.items():
        yield f"{', '.join(names)}: {text}"


def pair_notes(rows: Sequence[ComparisonRow], pairs: Sequence[Pair]) -> Iterator[str]:
    sizes = {row.algorithm: row.interval.n for row in rows}
    for pair in pairs:
        names, difference = " and ".join(pair.names), pair.difference
        if difference.n < max(sizes[name] for name in pair.names):
            yield f"{names} share {difference.n} values, and are compared on these"
        if math.isnan(pair.p):
            yield f"{names} cannot be tested: {difference.note.split('; ')[-1]}"
