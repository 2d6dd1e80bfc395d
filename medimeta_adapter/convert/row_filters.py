"""Filters of rows: unreadable images, duplicates, and a limit of rows per class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.convert.left_out import LeftOut, LeftOutReason
from medimeta_adapter.convert.options import Options
from medimeta_adapter.convert.rows import Row, Rows
from medimeta_adapter.convert.unlabelled_images import unknown_answers
from medimeta_adapter.convert.unreadable_images import describe_error, unreadable_images_error
from torchcross._kit.arrays import Indices, evenly_spaced
from torchcross._kit.threads import results_in_order
from torchcross.errors import InputError

Tell = Callable[[int, int], object]


def drop_unreadable(rows: Rows, options: Options, tell: Tell) -> Rows:
    """The rows whose images can be loaded. Every image is loaded once for that."""
    everything = np.arange(len(rows), dtype=np.int64)
    left_out: dict[int, LeftOut] = {}
    errors = results_in_order(rows.read(everything), _error_of, options.workers)
    first: Exception | None = None
    for place, error in enumerate(errors):
        if error is not None:
            first = first or error
            detail = describe_error(error)
            left_out[place] = LeftOut(rows.names[place], LeftOutReason.UNREADABLE, detail)
        tell(place + 1, len(rows))
    if first is not None and len(left_out) == len(rows):
        raise InputError(
            f"no row remains: none of the {len(rows)} images of {rows.origin} can be read, the"
            f" first because of {describe_error(first)}"
        ) from first
    return rows.take(np.delete(everything, list(left_out)), left_out.values())


def _error_of(row: Row) -> Exception | None:
    try:
        row.pixels()
    except Exception as error:  # noqa: BLE001  # the image is left out, and the error told
        return error
    return None


def drop_duplicates(rows: Rows, options: Options, tell: Tell) -> Rows:
    """The rows without duplicates, and without those whose content has several labels."""
    everything = np.arange(len(rows), dtype=np.int64)
    first_of: dict[bytes, int] = {}
    firsts = np.empty(len(rows), np.int64)
    digests = results_in_order(rows.read(everything), _digest_or_error, options.workers)
    for place, digest in enumerate(digests):
        if isinstance(digest, Exception):
            raise unreadable_images_error(rows, place, digest, digests) from digest
        firsts[place] = first_of.setdefault(digest, place)
        tell(place + 1, len(rows))
    firsts = _best_known(rows, firsts)
    contradicted = np.isin(firsts, np.flatnonzero(_with_several_labels(rows, firsts)))
    remaining = np.flatnonzero((firsts == everything) & ~contradicted)
    if not len(remaining):
        raise InputError(
            f"no row remains: each of the {len(np.unique(firsts))} pictures in {rows.origin} has"
            " several labels; correct the labels, or keep all rows with duplicates='keep'"
            " (--duplicates keep)"
        )
    left_out = []
    for place in np.setdiff1d(everything, remaining).tolist():
        reason = LeftOutReason.CONTRADICTORY if contradicted[place] else LeftOutReason.DUPLICATE
        first = int(firsts[place])
        detail = "" if first == place else f"the content of {rows.names[first]}"
        left_out.append(LeftOut(rows.names[place], reason, detail))
    return rows.take(remaining, left_out)


def _best_known(rows: Rows, firsts: Indices) -> Indices:
    """Of the rows of equal content, the first of those with the fewest unknown labels."""
    unknown = sum(unknown_answers(task, rows.labels[task.name]).sum(axis=1) for task in rows.tasks)
    # A later row of the same content overwrites an earlier one, so the best come last.
    order = np.lexsort((np.arange(len(rows)), unknown))[::-1]
    best = np.empty(len(rows), np.int64)
    best[firsts[order]] = order
    return best[firsts]


def _with_several_labels(rows: Rows, firsts: Indices) -> NDArray[np.bool_]:
    """For each row, whether the rows whose first it is have labels that contradict each other.

    An unknown label contradicts none.
    """
    several = np.zeros(len(rows), bool)
    for task in rows.tasks:
        labels = rows.labels[task.name].reshape(len(rows), -1)
        unknown = unknown_answers(task, labels)
        bounds = np.iinfo(labels.dtype)
        highest, lowest = np.full_like(labels, bounds.min), np.full_like(labels, bounds.max)
        np.maximum.at(highest, firsts, np.where(unknown, bounds.min, labels))
        np.minimum.at(lowest, firsts, np.where(unknown, bounds.max, labels))
        several |= (highest > lowest).any(axis=1)
    return several


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
        columns = [*(labels.T == 1), ~(labels == 1).any(axis=1)]
    selected = np.zeros(len(rows), bool)
    for column in columns:
        places = np.flatnonzero(column)
        selected[places[evenly_spaced(len(places), options.limit)]] = True
    return rows.take(np.flatnonzero(selected))
