"""Which rows are written: without duplicates, and not more than asked for."""

from __future__ import annotations

import numpy as np

from medimeta_adapter.convert.options import Options
from medimeta_adapter.convert.rows import Row, Rows
from medimeta_adapter.convert.threaded_decoding import in_order, unreadable
from torchcross.errors import InputError

__all__ = ["limited", "without_duplicates"]


def without_duplicates(rows: Rows, options: Options) -> tuple[Rows, int, int]:
    """The rows to write, and how many are left out as duplicates and as contradictory."""
    if options.duplicates == "keep":
        return rows, 0, 0
    everything = np.arange(len(rows), dtype=np.int64)
    first_of: dict[bytes, int] = {}
    firsts = np.empty(len(rows), np.int64)
    digests = in_order(rows.read(everything), _tried_digest, options.workers)
    for place, digest in enumerate(digests):
        if isinstance(digest, Exception):
            raise unreadable(rows, place, digest, digests) from digest
        firsts[place] = first_of.setdefault(digest, place)
    differs = np.zeros(len(rows), bool)
    for labels in rows.labels.values():
        differs |= (labels != labels[firsts]).reshape(len(rows), -1).any(axis=1)
    contradicted = np.isin(firsts, firsts[differs])
    kept = np.flatnonzero((firsts == everything) & ~contradicted)
    if not len(kept):
        raise InputError(
            f"nothing is left: each of the {len(np.unique(firsts))} pictures in {rows.kind} stands"
            " there under several labels; mend the labels, or keep all with duplicates='keep'"
            " (--duplicates keep)"
        )
    contradictory = int(contradicted.sum())
    return rows.take(kept), len(rows) - len(kept) - contradictory, contradictory


def _tried_digest(row: Row) -> bytes | Exception:
    try:
        return row.digest()
    except Exception as error:  # noqa: BLE001  # told later, with all others
        return error


def limited(rows: Rows, options: Options) -> Rows:
    """At most `Options.limit` rows of each class of the first task, evenly spaced."""
    if options.limit is None:
        return rows
    labels = rows.labels[rows.tasks[0].name]
    if labels.ndim == 1:
        columns = [labels == value for value in np.unique(labels)]
    else:
        columns = [*(labels.T == 1), ~labels.any(axis=1)]
    chosen = np.zeros(len(rows), bool)
    for column in columns:
        places = np.flatnonzero(column)
        spaced = (
            np.linspace(0, len(places) - 1, min(options.limit, len(places)))
            .round()
            .astype(np.int64)
        )
        chosen[places[spaced]] = True
    return rows.take(np.flatnonzero(chosen))
