"""The shots that each row has cells at, and why it has none at others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.settings.shots import episode_shots
from torchcross.records import ALL_SHOTS
from torchcross.records.shots import ALL, shots_text

NEEDS_SUPPORT = "they learn from a support set, and 0 shots have none"
NEEDS_EPISODES = "all labels are learned from by the row supervised alone"
NEEDS_ALL_LABELS = "it learns from all labels of a target, whatever the shots"


def shots_of_row(row: str, shots: Iterable[Any]) -> tuple[int, ...]:
    """Of the shots of an experiment, those that the row has cells at; all labels: `ALL_SHOTS`."""
    shots, method = list(shots), METHODS[row]
    if method.supervised:
        return (ALL_SHOTS,) if ALL in shots else ()
    return tuple(count for count in episode_shots(shots) if count or method.zero_shot)


def blank_cells(rows: Sequence[str], shots: Sequence[Any]) -> dict[tuple[str, int], str]:
    """(row, shots) -> why the row has no cells there."""
    blanks: dict[tuple[str, int], str] = {}
    for count in (ALL_SHOTS if each == ALL else each for each in shots):
        for row in rows:
            if count not in shots_of_row(row, shots):
                blanks[row, count] = _reason(row, count)
    return blanks


def blanks_in_words(rows: Sequence[str], shots: Sequence[Any]) -> list[str]:
    """One sentence for each reason."""
    by_reason: dict[str, dict[int, list[str]]] = {}
    for (row, count), reason in blank_cells(rows, shots).items():
        by_reason.setdefault(reason, {}).setdefault(count, []).append(row)
    return [f"no cells: {_places(places)}, since {reason}" for reason, places in by_reason.items()]


def _places(places: dict[int, list[str]]) -> str:
    texts = (f"{', '.join(rows)} at {shots_text(count)}" for count, rows in places.items())
    return "; ".join(texts)


def _reason(row: str, count: int) -> str:
    if METHODS[row].supervised:
        return NEEDS_ALL_LABELS
    return NEEDS_EPISODES if count == ALL_SHOTS else NEEDS_SUPPORT
