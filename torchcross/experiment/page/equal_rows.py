"""Rows of compared runs that are the same row: they are shown once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np

from torchcross.records import Records
from torchcross.records.records import FIELDS

_NAMES = ("run", "algorithm")


def rows_shown_once(
    records: Mapping[str, Records], episodes: Mapping[str, Mapping[tuple[str, str, int], str]]
) -> tuple[dict[str, Records], list[str]]:
    """The rows of each run without those that an earlier run has too, and a sentence on each.

    The same row has one name, the same episodes, and the same values in all of them: settings that
    decide no value of it, such as other algorithms of its run, may differ.
    """
    first: dict[tuple[str, str], str] = {}
    kept: dict[str, Records] = {}
    notes = []
    for run, rows in records.items():
        names = rows.columns["algorithm"]
        is_shown = np.ones(len(rows), dtype=bool)
        for row in dict.fromkeys(names.tolist()):
            key = (row, _digest(rows, row, episodes[run]))
            owner = first.setdefault(key, run)
            if owner != run:
                is_shown &= names != row
                notes.append(
                    f"{row} of {run} is the same as {row} of {owner}: it has the same value in"
                    f" every episode, and is shown once, as {row} ({owner})."
                )
        kept[run] = rows if is_shown.all() else rows[np.flatnonzero(is_shown)]
    return kept, notes


def _digest(rows: Records, row: str, episodes: Mapping[tuple[str, str, int], str]) -> str:
    """Of the values of a row, and of the episodes that they are of."""
    own = rows[np.flatnonzero(rows.columns["algorithm"] == row)].sorted_rows()
    total = hashlib.sha256()
    for name in FIELDS:
        if name not in _NAMES:
            total.update(repr(own.columns[name].tolist()).encode())
    digests = sorted((place, text) for place, text in episodes.items() if place[0] == row)
    total.update(repr(digests).encode())
    return total.hexdigest()
