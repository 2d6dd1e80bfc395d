"""Divide samples into train, val and test by subject, with classes in proportion.

scikit-learn draws folds of equal size (`StratifiedGroupKFold`, or `StratifiedKFold` if every sample
is its own subject), and the folds are then assigned to the splits. Another version of scikit-learn
may draw other folds for the same seed, so store the splits, as the files of a dataset do, and not
the seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, StratifiedKFold

from medimeta_adapter.format.splits import SPLITS
from torchcross._kit.argument_checks import checked_int
from torchcross._kit.arrays import Indices
from torchcross.errors import InputError

_MOST_FOLDS = 20
_OPEN = -1


@dataclass(frozen=True)
class SplitReport:
    """The counts of a division into splits."""

    samples: Mapping[str, int]
    subjects: Mapping[str, int]
    classes: Mapping[str, Mapping[Any, int]]

    @property
    def fractions(self) -> dict[str, float]:
        """Samples of each split over all samples."""
        total = sum(self.samples.values())
        return {name: count / total for name, count in self.samples.items()}

    def __str__(self) -> str:
        return "\n".join(
            f"{name}: {self.samples[name]} samples ({self.fractions[name]:.1%}) of"
            f" {self.subjects[name]} subjects; "
            + ", ".join(f"{label}: {count}" for label, count in self.classes[name].items())
            for name in self.samples
        )


def split_by_subject(
    labels: ArrayLike | None,
    subjects: ArrayLike | None,
    *,
    fractions: Sequence[float] | Mapping[str, float] = (0.7, 0.1, 0.2),
    seed: int,
    keep: Mapping[str, ArrayLike] | None = None,
) -> NDArray[np.str_]:
    """The split of every sample: an array of "train", "val" and "test".

    labels     (N,) or (N, L), for strata; None for no strata
    subjects   (N,), whose samples stay together; None for one subject per sample
    keep       existing splits, such as {"test": indices}. They stay, the other samples of their
               subjects join them, and the rest is divided between the other splits in proportion
               to their fractions
    """
    shares = _fractions(fractions)
    groups = _groups(labels, subjects)
    strata = _raw_strata(labels, len(groups))
    keep = keep or {}
    codes = _kept_codes(keep, groups, np.asarray(subjects) if subjects is not None else None)
    rest = np.flatnonzero(codes == _OPEN)
    free = {split: share for split, share in shares.items() if share and SPLITS[split] not in keep}
    if len(rest):
        if not free:
            raise InputError(
                f"{len(rest)} samples are in no kept split, and every split with a fraction is"
                " kept; keep fewer splits, or place these samples too"
            )
        seed = checked_int("seed", seed, 0, 2**32 - 1)
        codes[rest] = _divide(strata[rest], groups[rest], free, seed)
    elif free:
        names = [SPLITS[split] for split in free]
        raise InputError(
            f"the kept splits take every sample and leave none for {names}; give these fraction 0"
        )
    return np.array(SPLITS)[codes]


def split_report(
    splits: ArrayLike, labels: ArrayLike | None = None, subjects: ArrayLike | None = None
) -> SplitReport:
    """Count samples, subjects and classes per split; a subject in two splits is an error."""
    names = np.asarray(splits)
    if names.ndim != 1 or not len(names):
        raise InputError(f"splits have shape {names.shape}; give one per sample, (N,)")
    if unknown := [name for name in dict.fromkeys(names.tolist()) if name not in SPLITS]:
        raise InputError(f"splits name {unknown!r:.120}; the splits are {list(SPLITS)}")
    groups = _groups(names, subjects)
    values = np.zeros((len(names), 0)) if labels is None else np.asarray(labels)
    for what, column in (("labels", values), ("subjects", groups)):
        if len(column) != len(names):
            raise InputError(f"{len(names)} splits and {len(column)} {what}; give one per sample")
    if subjects is not None:
        _refuse_shared(names, groups, np.asarray(subjects).tolist())
    samples, people, classes = {}, {}, {}
    for split in SPLITS:
        inside = names == split
        samples[split], people[split] = int(inside.sum()), len(np.unique(groups[inside]))
        classes[split] = _class_counts(values, inside)
    return SplitReport(samples, people, classes)


def _class_counts(values: NDArray[Any], inside: NDArray[np.bool_]) -> dict[Any, int]:
    if values.ndim == 2:
        return dict(enumerate((values[inside] == 1).sum(axis=0).tolist()))
    distinct = np.unique(values).tolist()
    return {value: int((values[inside] == value).sum()) for value in distinct}


def _refuse_shared(names: NDArray[Any], groups: Indices, subjects: list[Any]) -> None:
    _, codes = np.unique(names, return_inverse=True)
    pairs = np.unique(np.stack([groups, codes]), axis=1)
    shared = pairs[0, 1:][pairs[0, 1:] == pairs[0, :-1]]
    if len(shared):
        inside = np.flatnonzero(groups == shared[0])
        raise InputError(
            f"subject {subjects[inside[0]]!r} is in the splits {np.unique(names[inside]).tolist()};"
            " divide by subject"
        )


# -- arguments -------------------------------------------------------------------------------------


def _fractions(fractions: Sequence[float] | Mapping[str, float]) -> dict[int, float]:
    if isinstance(fractions, Mapping):
        if unknown := [name for name in fractions if name not in SPLITS]:
            raise InputError(f"fractions name {unknown}; the splits are {list(SPLITS)}")
        shares = [fractions.get(name, 0.0) for name in SPLITS]
    else:
        shares = list(fractions)
    are_shares = len(shares) == len(SPLITS) and all(share >= 0 for share in shares)
    if not are_shares or abs(sum(shares) - 1) > 1e-6:
        raise InputError(
            f"fractions={fractions!r} are not fractions of train, val and test; give three that sum"
            " to 1"
        )
    return dict(enumerate(map(float, shares)))


def _groups(labels: ArrayLike | None, subjects: ArrayLike | None) -> Indices:
    """Subjects as numbers from 0."""
    if subjects is None:
        if labels is None:
            raise InputError(
                "neither labels nor subjects are given; give one of them, so that samples can be"
                " counted"
            )
        return np.arange(len(np.asarray(labels)), dtype=np.int64)
    values = np.asarray(subjects)
    if values.ndim != 1 or not len(values):
        raise InputError(f"subjects have shape {values.shape}; give one per sample, (N,)")
    items = values.tolist()
    blank = [
        place for place, item in enumerate(items) if item is None or item != item or item == ""
    ]
    if blank:
        raise InputError(
            f"{len(blank)} samples have no subject, the first is sample {blank[0]}; give each its"
            " own id if you know that they are different people, or leave them out"
        )
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(item, len(numbers)) for item in items], np.int64)


def _raw_strata(labels: ArrayLike | None, count: int) -> Indices:
    """A number for each class, or for each set of labels."""
    if labels is None:
        return np.zeros(count, np.int64)
    values = np.asarray(labels)
    if values.ndim not in (1, 2) or len(values) != count:
        raise InputError(
            f"labels have shape {values.shape} for {count} samples; give (N,) or (N, L)"
        )
    if not count:
        raise InputError("there are no samples to divide")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(
            "labels hold NaN; leave samples without a label out, or give them a class of their own"
        )
    if values.ndim == 2:
        return _label_sets(values)
    if values.dtype.kind == "O":
        values = values.astype(str)
    _, numbers = np.unique(values, return_inverse=True)
    return np.asarray(numbers, np.int64)


def _label_sets(answers: NDArray[Any]) -> Indices:
    """A stratum per set of labels; a sample with a rare set joins that of its rarest label."""
    if not np.isin(answers, (0, 1)).all():
        raise InputError(
            "labels (N, L) have values other than 0 and 1; give one column of 0 and 1 per label"
        )
    answers = answers.astype(np.uint8)
    _, sets = np.unique(answers, axis=0, return_inverse=True)
    sets = np.asarray(sets, np.int64).reshape(-1)
    rare = (np.bincount(sets) < _MOST_FOLDS)[sets]
    # Absent labels count as more frequent than any label, so that argmin finds the rarest present.
    positives = answers.sum(axis=0, dtype=np.int64)
    rarest = np.where(answers[rare] == 1, positives, len(answers) + 1).argmin(axis=1)
    sets[rare] = sets.max() + 1 + np.where(answers[rare].any(axis=1), rarest, answers.shape[1])
    _, numbers = np.unique(sets, return_inverse=True)
    return np.asarray(numbers, np.int64)


def _kept_codes(
    keep: Mapping[str, ArrayLike], groups: Indices, subjects: NDArray[Any] | None
) -> NDArray[np.int64]:
    """Split codes of kept samples and of all samples of their subjects; _OPEN elsewhere."""
    of_group = np.full(int(groups.max()) + 1, _OPEN, np.int64)
    for name, kept in keep.items():
        if name not in SPLITS:
            raise InputError(f"keep names {name!r}; the splits are {list(SPLITS)}")
        indices = np.asarray(kept)
        if indices.size and (indices.ndim != 1 or indices.dtype.kind not in "iu"):
            raise InputError(
                f"keep[{name!r}] is {indices.dtype} of shape {indices.shape}; give indices of"
                " samples"
            )
        if indices.size and (indices.min() < 0 or indices.max() >= len(groups)):
            raise InputError(f"keep[{name!r}] has indices outside the samples 0..{len(groups) - 1}")
        inside, code = groups[indices.astype(np.int64)], SPLITS.index(name)
        clash = np.flatnonzero((of_group[inside] != _OPEN) & (of_group[inside] != code))
        if clash.size:
            sample = int(indices[clash[0]])
            label = f"sample {sample}"
            if subjects is not None:
                label = f"subject {subjects[sample].item()!r} (sample {sample})"
            raise InputError(
                f"{label} is in two kept splits, {SPLITS[of_group[groups[sample]]]!r} and {name!r};"
                " keep only one of them"
            )
        of_group[inside] = code
    return of_group[groups]


# -- dividing --------------------------------------------------------------------------------------


def _divide(
    strata: Indices, groups: Indices, free: Mapping[int, float], seed: int
) -> NDArray[np.int64]:
    """Split codes of the samples that are in no kept split."""
    subjects = len(np.unique(groups))
    if subjects < len(free):
        names = [SPLITS[split] for split in free]
        raise InputError(
            f"{subjects} subject(s) are too few for the {len(free)} splits {names}; give the"
            " smaller splits fraction 0, or add subjects"
        )
    total = sum(free.values())
    shares = {split: share / total for split, share in free.items()}
    count = _fold_count(list(shares.values()), subjects)
    if count == 1:
        return np.full(len(strata), next(iter(shares)), np.int64)
    codes = _deal_folds(_folds(strata, groups, count, seed), shares)
    if len(np.unique(codes)) < len(shares):
        return _divide_by_subject_count(groups, shares, seed)
    return codes


def _fold_count(shares: Sequence[float], subjects: int) -> int:
    """The number of equal folds that fits the shares best; the smallest if equal."""
    if len(shares) == 1:
        return 1

    def worst(count: int) -> float:
        return max(abs(max(1, round(share * count)) / count - share) for share in shares)

    return min(
        range(len(shares), min(_MOST_FOLDS, subjects) + 1),
        key=lambda count: (round(worst(count), 9), count),
    )


def _folds(strata: Indices, groups: Indices, count: int, seed: int) -> Indices:
    """The fold of every sample."""
    labels = _common_strata(strata, count)
    single = len(np.unique(groups)) == len(groups)
    kind = StratifiedKFold if single else StratifiedGroupKFold
    folds = np.zeros(len(strata), np.int64)
    splitter = kind(count, shuffle=True, random_state=seed)
    for fold, (_, inside) in enumerate(splitter.split(labels, labels, None if single else groups)):
        folds[inside] = fold
    return folds


def _common_strata(strata: Indices, fewest: int) -> Indices:
    """Merge strata that are too rare for every fold, into the largest if still too rare."""
    counts = np.bincount(strata)
    rare = counts < fewest
    merged = np.where(rare[strata], len(counts), strata)
    counts = np.bincount(merged)
    if 0 < counts[-1] < fewest and len(counts) > 1 and rare.any() and counts[:-1].max() > 0:
        merged = np.where(merged == len(counts) - 1, int(counts[:-1].argmax()), merged)
    return merged


def _deal_folds(folds: Indices, shares: Mapping[int, float]) -> NDArray[np.int64]:
    """Assign folds to splits, the largest first, each to the split that lacks most samples."""
    sizes = Counter(folds.tolist())
    lacking = {split: share * len(folds) for split, share in shares.items()}
    split_of = np.zeros(max(sizes) + 1, np.int64)
    for fold, size in sorted(sizes.items(), key=lambda item: (-item[1], item[0])):
        neediest = max(lacking, key=lambda split: (round(lacking[split], 6), -split))
        split_of[fold] = neediest
        lacking[neediest] -= size
    return split_of[folds]


def _divide_by_subject_count(
    groups: Indices, shares: Mapping[int, float], seed: int
) -> NDArray[np.int64]:
    """Divide by numbers of subjects, without strata: no split stays empty, however unequal the
    subjects are.
    """
    subjects = len(np.unique(groups))
    first, *others = sorted(shares, key=lambda split: -shares[split])
    codes = np.full(len(groups), first, np.int64)
    remaining = subjects
    for place, split in enumerate(others):
        spare = len(others) - place
        count = min(max(1, round(shares[split] * subjects)), remaining - spare)
        inside = np.flatnonzero(codes == first)
        splitter = GroupShuffleSplit(1, test_size=count, random_state=seed)
        _, drawn = next(splitter.split(inside, groups=groups[inside]))
        codes[inside[drawn]] = split
        remaining -= count
    return codes
