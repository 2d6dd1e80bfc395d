"""Which split each row is in: as the source says, or drawn by subject."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from medimeta_adapter.convert.options import Options
from medimeta_adapter.convert.rows import Rows, Texts
from medimeta_adapter.convert.splitting import split_by_subject
from torchcross._kit.arrays import Indices
from torchcross.errors import InputError

__all__ = ["Splits", "split_names", "splits_of"]

_NAMES = ("train", "val", "test")
_KNOWN = {name: name for name in _NAMES} | {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "testing": "test",
}


@dataclass(frozen=True)
class Splits:
    """The split of every row, the source's own split ("" where it has none), and how many subjects
    are in several.
    """

    final: Texts
    original: Texts | None
    shared_subjects: int = 0


def split_names(given: Texts, what: str) -> Texts:
    """train, val and test for the words people use; empty stays empty."""
    known = _KNOWN | {"": ""}
    wrong = sorted(
        {word for word in np.unique(given).tolist() if word.strip().lower() not in known}
    )
    if wrong:
        raise InputError(f"{what}: {wrong[0]!r} is no split; use {', '.join(_KNOWN)}")
    return np.array([known[word.strip().lower()] for word in given.tolist()], dtype="<U5")


def splits_of(rows: Rows, options: Options) -> Splits:
    """The user's own splits, which are final, or what `Options.splits` says."""
    original = rows.original_splits
    if rows.splits is not None:
        if options.splits == "new":
            raise InputError(
                "splits are given as they are to be, and splits='new' (--splits new) draws others;"
                " leave one of them out, or give these as the original ones: original_splits= or"
                " original_split= (--original-splits, --original-split)"
            )
        _check_given(rows, rows.splits)
        return Splits(rows.splits, original, _shared(rows, rows.splits))
    if options.splits == "new" or original is None:
        return Splits(_drawn(rows, options, None), original)
    _check_given(rows, original)
    kept = {name: np.flatnonzero(original == name) for name in _NAMES}
    if all(map(len, kept.values())):
        return Splits(original, original, _shared(rows, original))
    return Splits(_completed(rows, options, kept), original)


def _check_given(rows: Rows, splits: Texts) -> None:
    if (splits == "").any():
        raise InputError(
            f"{int((splits == '').sum())} rows of {rows.kind} have no split, the first"
            f" {_first(rows, splits)!r}; give each one, or say splits='new' (--splits new) where"
            " they are the original ones, to draw all"
        )


def _completed(rows: Rows, options: Options, kept: dict[str, Indices]) -> Texts:
    """What the source lacks is drawn from its training rows; the other rows of kept subjects join
    their split.
    """
    held = {name: places for name, places in kept.items() if name != "train" and len(places)}
    return _drawn(rows, options, held or None)


def _drawn(rows: Rows, options: Options, keep: dict[str, Indices] | None) -> Texts:
    labels = rows.labels[rows.tasks[0].name]
    drawn = split_by_subject(
        labels, rows.subjects, fractions=options.fractions, seed=options.seed, keep=keep
    )
    return np.asarray(drawn, dtype="<U5")


def _shared(rows: Rows, splits: Texts) -> int:
    if rows.subjects is None:
        return 0
    pairs = {
        pair for pair in zip(rows.subjects.tolist(), splits.tolist(), strict=True) if all(pair)
    }
    return sum(count > 1 for count in Counter(subject for subject, _ in pairs).values())


def _first(rows: Rows, splits: Texts) -> str:
    return rows.names[int(np.argmax(splits == ""))]
