"""The split of each row: as the source says, or drawn by subject."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from medimeta_adapter.convert.options import Options
from medimeta_adapter.convert.rows import Rows, Texts
from medimeta_adapter.convert.splitting import split_by_subject
from medimeta_adapter.format.annotations import subjects_of
from medimeta_adapter.format.splits import SPLITS
from torchcross._kit.arrays import Indices
from torchcross.errors import InputError

_SYNONYMS = {name: name for name in SPLITS} | {
    "training": "train",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "testing": "test",
}
SPLIT_WORDS = frozenset(_SYNONYMS)
"""The words that name a split, in lower case."""


@dataclass(frozen=True)
class Splits:
    """The split of every row, the source's own split ("" without one), and the number of subjects
    in several splits.
    """

    final: Texts
    original: Texts | None
    shared_subjects: int = 0


def split_names(words: Texts, what: str) -> Texts:
    """train, val or test for each word, which may be a synonym; empty stays empty."""
    names = _SYNONYMS | {"": ""}
    for word in np.unique(words).tolist():
        if word.strip().lower() not in names:
            raise InputError(f"{what}: {word!r} is not a split; use {', '.join(_SYNONYMS)}")
    return np.array([names[word.strip().lower()] for word in words.tolist()], dtype="<U5")


def merged_split_words(words: Texts, what: str) -> tuple[str, ...]:
    """A sentence for each split that goes by several words."""
    words_by_split: dict[str, list[str]] = {}
    for word, name in zip(*_distinct_splits(words), strict=True):
        words_by_split.setdefault(name, []).append(word)
    return tuple(
        f"note: {what}: {', '.join(words)} are all read as the split {name}"
        for name, words in words_by_split.items()
        if len(words) > 1
    )


def _distinct_splits(words: Texts) -> tuple[list[str], list[str]]:
    distinct = [word for word in np.unique(words).tolist() if word.strip()]
    return distinct, [_SYNONYMS[word.strip().lower()] for word in distinct]


def refuse_new_splits(options: Options, advice: str) -> None:
    """Refuse to draw splits where the user gave some; `advice` says how to give original ones."""
    if options.splits == "new":
        raise InputError(
            "splits are given, and splits='new' (--splits new) draws others; leave one of them out,"
            f" or give the splits as original ones: {advice}"
        )


def assign_splits(rows: Rows, options: Options) -> Splits:
    """The user's own splits, which are final, or splits as `Options.splits` says."""
    original = rows.original_splits
    if rows.splits is not None:
        _check_complete(rows, rows.splits)
        return Splits(rows.splits, original, _count_shared_subjects(rows, rows.splits))
    if options.splits == "new" or original is None:
        return Splits(_draw(rows, options, None), original)
    _check_complete(rows, original)
    kept = {name: np.flatnonzero(original == name) for name in SPLITS}
    if all(map(len, kept.values())):
        return Splits(original, original, _count_shared_subjects(rows, original))
    return Splits(_complete(rows, options, kept), original)


def _check_complete(rows: Rows, splits: Texts) -> None:
    if (splits == "").any():
        raise InputError(
            f"{int((splits == '').sum())} rows of {rows.origin} have no split, the first"
            f" {_first_without_split(rows, splits)!r}; give one to each row, or draw"
            " all with splits='new' (--splits new) if these are the original splits"
        )


def _complete(rows: Rows, options: Options, kept: dict[str, Indices]) -> Texts:
    """Draw missing splits from training rows; other rows of kept subjects join their split."""
    held = {name: places for name, places in kept.items() if name != "train" and len(places)}
    return _draw(rows, options, held or None)


def _draw(rows: Rows, options: Options, keep: dict[str, Indices] | None) -> Texts:
    task = rows.tasks[0]
    labels = rows.labels[task.name]
    if task.multilabel:
        # For strata an unknown answer counts as no; for one class per image it is a class.
        labels = (labels == 1).astype(np.int64)
    subjects = None if rows.subjects is None else subjects_of(rows.subjects)
    drawn = split_by_subject(
        labels, subjects, fractions=options.fractions, seed=options.seed, keep=keep
    )
    return np.asarray(drawn, dtype="<U5")


def _count_shared_subjects(rows: Rows, splits: Texts) -> int:
    if rows.subjects is None:
        return 0
    pairs = set(zip(rows.subjects.tolist(), splits.tolist(), strict=True))
    pairs = {pair for pair in pairs if all(pair)}
    return sum(count > 1 for count in Counter(subject for subject, _ in pairs).values())


def _first_without_split(rows: Rows, splits: Texts) -> str:
    return rows.names[int(np.argmax(splits == ""))]
