"""Filters of rows: drop duplicates, and limit the number of rows per class."""

from __future__ import annotations

import numpy as np

from medimeta_adapter.convert.options import Options
from medimeta_adapter.convert.rows import Row, Rows, evenly_spaced
from medimeta_adapter.convert.unreadable_images import unreadable_images_error
from torchcross._kit.threads import results_in_order
from torchcross.errors import InputError


def drop_duplicates(rows: Rows, options: Options) -> tuple[Rows, int, int]:
    """The rows to write, and the numbers of duplicate and of contradictory rows left out."""
    if options.duplicates == "keep":
        return rows, 0, 0
    everything = np.arange(len(rows), dtype=np.int64)
    first_of: dict[bytes, int] = {}
    firsts = np.empty(len(rows), np.int64)
    digests = results_in_order(rows.read(everything), _digest_or_error, options.workers)
    for place, digest in enumerate(digests):
        if isinstance(digest, Exception):
            raise unreadable_images_error(rows, place, digest, digests) from digest
        firsts[place] = first_of.setdefault(digest, place)
    differs = np.zeros(len(rows), bool)
    for labels in rows.labels.values():
        differs |= (labels != labels[firsts]).reshape(len(rows), -1).any(axis=1)
    contradicted = np.isin(firsts, firsts[differs])
    remaining = np.flatnonzero((firsts == everything) & ~contradicted)
    if not len(remaining):
        raise InputError(
            f"no row remains: each of the {len(np.unique(firsts))} pictures in {rows.kind} has"
            " several labels; correct the labels, or keep all rows with duplicates='keep'"
            " (--duplicates keep)"
        )
    contradictory = int(contradicted.sum())
    return rows.take(remaining), len(rows) - len(remaining) - contradictory, contradictory


def _digest_or_error(row: Row) -> bytes | Exception:
    try:
        return row.digest()
    except Exception as error:  # noqa: BLE001  # reported later, together with all others
        return error


def limit_per_class(rows: Rows, options: Options) -> Rows:
    """At most `Options.limit` rows of each class of the first task, evenly spaced."""
    if options.limit is None:
        return rows
    labels = rows.labels[rows.tasks[0].name]
    if labels.ndim == 1:
        columns = [labels == value for value in np.unique(labels)]
    else:
        columns = [*(labels.T == 1), ~labels.any(axis=1)]
    selected = np.zeros(len(rows), bool)
    for column in columns:
        places = np.flatnonzero(column)
        selected[places[evenly_spaced(len(places), options.limit)]] = True
    return rows.take(np.flatnonzero(selected))
