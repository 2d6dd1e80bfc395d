"""The notes of the comparisons of a summary: each once, with its places where it has not all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from torchcross.report.places import places_text
from torchcross.statistics import Comparison
from torchcross.statistics.seeds import ONE_SEED
from torchcross.statistics.within_target import NO_TRAINING


def notes_with_places(
    comparisons: Sequence[Comparison],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The notes of some comparisons with their places, and those that hold everywhere.

    A note of some rows on their training seeds holds everywhere if it does wherever they are.
    """
    rows = {note: _rows_with(note, comparisons) for note in (ONE_SEED, NO_TRAINING)}
    places: dict[str, list[tuple[str, int]]] = {}
    for one in comparisons:
        of_seeds = {text for note, names in rows.items() for text in _texts(note, names, one)}
        for note in one.notes:
            if note not in of_seeds:
                places.setdefault(note, []).append((one.target, one.shots))
    everyone = {row.algorithm for one in comparisons for row in one.rows}
    common = [
        note if {*names} == everyone else f"{', '.join(names)}: {note}"
        for note, names in rows.items()
        if names
    ]
    common += [note for note, own in places.items() if len(own) == len(comparisons)]
    placed = (f"{note} ({places_text(own)})" for note, own in places.items() if note not in common)
    return tuple(placed), tuple(common)


def _rows_with(note: str, comparisons: Sequence[Comparison]) -> list[str]:
    """The algorithms of which a note holds in each comparison that has them."""
    every = Counter(row.algorithm for one in comparisons for row in one.rows)
    having = Counter(name for one in comparisons for name in _having(note, one))
    return [name for name, count in having.items() if count == every[name]]


def _having(note: str, one: Comparison) -> list[str]:
    return [row.algorithm for row in one.rows if note in row.interval.note.split("; ")]


def _texts(note: str, names: Sequence[str], one: Comparison) -> Iterator[str]:
    """The note as a comparison has it, of all of its rows or of some, if all are of `names`."""
    having = _having(note, one)
    if having and {*having} <= {*names}:
        yield from (note, f"{', '.join(having)}: {note}")
