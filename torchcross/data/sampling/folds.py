"""Folds of a source: every labelled sample in one fold, subjects whole, classes spread evenly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.argument_checks import as_int
from torchcross._kit.arrays import Indices
from torchcross._kit.counts import count_text
from torchcross._kit.randomness import Stream, permutation
from torchcross.data.sources.source import TaskSource
from torchcross.errors import InfeasibleError
from torchcross.targets.strata import Cover, Partition

_SEEDS = 2**32


def stratified_folds(source: TaskSource, folds: int, *, seed: int = 0) -> tuple[Indices, ...]:
    """The samples of each fold, ascending: the same for the same labels, subjects and seed.

    Another version of scikit-learn, which draws them, may draw other folds for the same seed; those
    of a multi-label source do not depend on it.

    A subject is in one fold, where subjects are known. Classes (labels: with and without) have
    their share of each fold, as nearly as whole subjects allow. Samples without any known label are
    in none. Refused where a class has fewer subjects than there are folds, or a fold none of it.
    """
    folds = as_int("folds", folds, least=2)
    strata = source.task.target.strata(source.labels)
    known = np.flatnonzero((source.labels >= 0).reshape(len(source), -1).any(axis=1))
    subjects = np.arange(len(source)) if source.groups is None else source.groups
    answers = _membership(strata, source.task.target.classes)
    for name, members in answers.items():
        if 0 < (count := len(np.unique(subjects[members]))) < folds:
            fewer = f"give at most {count} folds, or " if count > 1 else ""
            raise InfeasibleError(
                f"source {source.name!r} has {count_text(count, _unit(source))} {name}, too few for"
                f" {folds} folds; {fewer}leave the class out (source.restrict), or join it to"
                " another"
            )
    if isinstance(strata, Partition):
        assigned = _folds_of_classes(strata.codes[known], subjects[known], folds, seed)
    else:
        columns = [members[known] for members in answers.values()]
        assigned = _folds_of_labels(columns, subjects[known], folds, seed)
    parts = tuple(known[assigned == fold] for fold in range(folds))
    _refuse_empty_classes(source, answers, parts)
    return parts


def _unit(source: TaskSource) -> str:
    return "samples" if source.groups is None else "subjects"


def _membership(strata: Partition | Cover, classes: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Which samples are of each class, or with and without each label, by what it is called."""
    if isinstance(strata, Partition):
        return {f"of {name!r}": strata.codes == code for code, name in enumerate(classes)}
    both = (("with", 1), ("without", 0))
    return {
        f"{word} {name!r}": strata.answers[:, column] == answer
        for column, name in enumerate(classes)
        for word, answer in both
    }


def _folds_of_classes(
    codes: NDArray[np.signedinteger], subjects: Indices, folds: int, seed: int
) -> Indices:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    alone = len(np.unique(subjects)) == len(subjects)
    kind = StratifiedKFold if alone else StratifiedGroupKFold
    splitter = kind(folds, shuffle=True, random_state=seed % _SEEDS)
    assigned = np.zeros(len(codes), dtype=np.int64)
    parts = splitter.split(codes, codes, None if alone else subjects)
    for fold, (_, inside) in enumerate(parts):
        assigned[inside] = fold
    return assigned


def _folds_of_labels(
    members: Sequence[NDArray[np.bool_]], subjects: Indices, folds: int, seed: int
) -> Indices:
    """Iterative stratification (Sechidis et al. 2011), of subjects.

    The answer with the fewest subjects left is dealt first; each of its subjects goes to the fold
    that lacks most of that answer, then to the fold that lacks most samples.
    """
    names, owner = np.unique(subjects, return_inverse=True)
    counts = np.stack([np.bincount(owner, rows, len(names)) for rows in members], axis=1)
    sizes = np.bincount(owner, minlength=len(names)).astype(np.float64)
    lacking = np.repeat(counts.sum(axis=0)[None] / folds, folds, axis=0)
    room = np.full(folds, sizes.sum() / folds)
    order = permutation(Stream(seed, "folds"), 0, len(names))
    fold_of = np.full(len(names), -1, dtype=np.int64)
    while (free := order[fold_of[order] < 0]).size:
        left = (counts[free] > 0).sum(axis=0)
        rarest = int(np.where(left > 0, left, np.iinfo(np.int64).max).argmin())
        with_it = free[counts[free, rarest] > 0]
        for subject in with_it if with_it.size else free:
            best = np.lexsort((np.arange(folds), -room, -lacking[:, rarest]))[0]
            fold_of[subject] = best
            lacking[best] -= counts[subject]
            room[best] -= sizes[subject]
    assigned: Indices = fold_of[owner]
    return assigned


def _refuse_empty_classes(
    source: TaskSource, answers: dict[str, NDArray[np.bool_]], parts: Sequence[Indices]
) -> None:
    for name, members in answers.items():
        empty = [fold for fold, part in enumerate(parts) if not members[part].any()]
        if members.any() and empty:
            fewer = "fewer folds, " if len(parts) > 2 else ""
            raise InfeasibleError(
                f"source {source.name!r}: folds {empty} of {len(parts)} have no sample {name},"
                f" because a few subjects own most of them; give {fewer}another seed, or leave the"
                " largest of these subjects out"
            )
