"""How many images a synthetic dataset has, and what their labels, splits and subjects are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.format.info import SplitCounts, TaskTarget
from medimeta_adapter.synthetic.catalog import CatalogDataset, CatalogTask
from medimeta_adapter.synthetic.factors import FACTORS, IMPLIED, Derived, derived
from torchcross._kit.randomness import Stream
from torchcross.errors import InputError

__all__ = ["SCALES", "DatasetPlan", "Scale", "plan_dataset", "scale_of", "sizes"]

Integers = NDArray[np.int64]

SPLITS = ("train", "val", "test")
_SHARES = {"train": 0.6, "val": 0.15, "test": 0.25}
_FEWEST_IMAGES = 60
_FINDINGS_PER_IMAGE, _WITH_FINDINGS = 2.0, 0.75
_MOST_OF_A_SUBJECT = 3
_SUBJECTS = frozenset(
    {
        *("cxr", "mammo_calc", "mammo_mass", "oct", "pneumonia", "skinl_photo", "skinl_derm"),
        *("organs_axial", "organs_coronal", "organs_sagittal"),
    }
)


@dataclass(frozen=True)
class Scale:
    """A share of the real number of images, and so many of each class (positives of each label) at
    least.
    """

    share: float
    per_class: int


SCALES: Mapping[str, Scale] = MappingProxyType(
    {"tiny": Scale(0.0, 12), "small": Scale(0.005, 60), "medium": Scale(0.05, 60)}
)
"""The scales with a name. A number is a share of the real sizes, with at least 12 of each class."""


@dataclass(frozen=True)
class DatasetPlan:
    """All of a dataset but its pixels. Ranks are positions in a task's label keys, or rows of 0 and
    1.
    """

    entry: CatalogDataset
    splits: NDArray[np.str_]
    original_splits: NDArray[np.str_]
    subjects: NDArray[np.str_] | None
    ranks: Mapping[str, Integers]

    def labels(self, task: CatalogTask) -> Integers:
        """The labels as they are stored."""
        ranks = self.ranks[task.name]
        return ranks if ranks.ndim == 2 else np.asarray(task.label_keys, dtype=np.int64)[ranks]


def scale_of(scale: str | float) -> Scale:
    """The scale of that name, or of that share of the real sizes."""
    if isinstance(scale, str):
        if scale not in SCALES:
            raise InputError(
                f"got scale={scale!r}; choose one of {list(SCALES)}, or a share of the real sizes,"
                " 0 to 1"
            )
        return SCALES[scale]
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale <= 1:
        raise InputError(
            f"got scale={scale!r}; give one of {list(SCALES)}, or a share above 0 and up to 1"
        )
    return Scale(float(scale), SCALES["tiny"].per_class)


def sizes(entry: CatalogDataset, scale: Scale) -> SplitCounts:
    """Images per split: the share, or what the classes need, and never more than the real dataset
    has.
    """
    found = {}
    for split in SPLITS:
        real = getattr(entry.samples, split)
        needed = [_needed(task, _fewest(scale, split)) for task in _independent(entry)]
        fewest = max(math.ceil(_FEWEST_IMAGES * _SHARES[split]), *needed)
        found[split] = min(real, max(math.floor(real * scale.share + 0.5), fewest))
    return SplitCounts(**found)


def plan_dataset(entry: CatalogDataset, scale: Scale, seed: int) -> DatasetPlan:
    """Labels, splits and subjects: every task that is not derived is drawn on its own, its classes
    counted out.
    """
    counts = sizes(entry, scale)
    numbers = [getattr(counts, split) for split in SPLITS]
    order = np.argsort(
        Stream(seed, "synthetic", entry.id, "order").sequence(0, counts.total), kind="stable"
    )
    ranks: dict[str, Integers] = {}
    for task in _independent(entry):
        parts = [
            _COUNTED_OUT[task.task_target](task, number, _fewest(scale, split), seed, at)
            for at, (split, number) in enumerate(zip(SPLITS, numbers, strict=True))
        ]
        ranks[task.name] = np.concatenate(parts)[order]
    for task in entry.tasks:
        rule = FACTORS[entry.id][task.name]
        if isinstance(rule, Derived):
            ranks[task.name] = derived(rule, ranks[rule.parent])
    splits = np.repeat(np.array(SPLITS), numbers)[order]
    original = np.repeat(np.array(_origin(entry)), numbers)[order]
    subjects = _subjects(entry, numbers, seed)[order] if entry.id in _SUBJECTS else None
    return DatasetPlan(
        entry, splits, original, subjects, {task.name: ranks[task.name] for task in entry.tasks}
    )


def _independent(entry: CatalogDataset) -> list[CatalogTask]:
    return [task for task in entry.tasks if not isinstance(FACTORS[entry.id][task.name], Derived)]


# -- labels ----------------------------------------------------------------------------------------


def _fewest(scale: Scale, split: str) -> int:
    """So many of each class (positives of each label) a split has, where the real dataset is large
    enough.
    """
    return math.ceil(scale.per_class * _SHARES[split])


def _needed(task: CatalogTask, fewest: int) -> int:
    return math.ceil(fewest * task.num_labels * _IMAGES_PER_LABEL.get(task.task_target, 1.0))


_IMAGES_PER_LABEL = {
    TaskTarget.MULTILABEL_CLASSIFICATION: 1 / (_FINDINGS_PER_IMAGE * _WITH_FINDINGS)
}


def _classes(task: CatalogTask, count: int, fewest: int, seed: int, part: int) -> Integers:
    """One class per image: the first is the most frequent, class c has a weight of 1 / (c + 2)."""
    classes = task.num_labels
    fewest = min(fewest, count // classes)
    quotas = _shared_out(count - fewest * classes, [1 / (rank + 2) for rank in range(classes)])
    labels = np.repeat(np.arange(classes), [fewest + quota for quota in quotas])
    return labels[_order(task, count, seed, part)]


def _answers(task: CatalogTask, count: int, fewest: int, seed: int, part: int) -> Integers:
    """Rows of 0 and 1: three images in four have findings, two on average; label l has a weight of
    1 / (l + 4).
    """
    with_findings = math.ceil(count * _WITH_FINDINGS)
    fewest = min(fewest, count // 4)
    weights = [1 / (label + 4) for label in range(task.num_labels)]
    quotas = _shared_out(math.floor(with_findings * _FINDINGS_PER_IMAGE), weights)
    answers = np.zeros((count, task.num_labels), dtype=np.int64)
    for label, quota in enumerate(quotas):
        stream = Stream(seed, "synthetic", task.dataset, task.name, "answers", part)
        order = np.argsort(stream.sequence(label, with_findings), kind="stable")
        answers[order[: min(max(quota, fewest), count // 2)], label] = 1
    for label, implied in IMPLIED.get((task.dataset, task.name), ()):
        answers[:, implied] |= answers[:, label]
    return answers[_order(task, count, seed, part)]


_COUNTED_OUT = {
    TaskTarget.BINARY_CLASSIFICATION: _classes,
    TaskTarget.MULTICLASS_CLASSIFICATION: _classes,
    TaskTarget.ORDINAL_REGRESSION: _classes,
    TaskTarget.MULTILABEL_CLASSIFICATION: _answers,
}


def _shared_out(count: int, weights: list[float]) -> list[int]:
    """`count` in whole numbers, in proportion to the weights; what is left over goes to the
    first.
    """
    total = sum(weights)
    shares = [math.floor(count * weight / total) for weight in weights]
    left = count - sum(shares)
    return [share + (rank < left) for rank, share in enumerate(shares)]


def _order(task: CatalogTask, count: int, seed: int, part: int) -> Integers:
    words = Stream(seed, "synthetic", task.dataset, task.name, "labels").sequence(part, count)
    return np.argsort(words, kind="stable")


# -- splits and subjects ---------------------------------------------------------------------------


def _origin(entry: CatalogDataset) -> tuple[str, ...]:
    """Which original split each of today's splits came from, read from the published numbers."""
    for origin in [SPLITS, *product(SPLITS, repeat=3)]:
        sums = dict.fromkeys(SPLITS, 0)
        for split, came_from in zip(SPLITS, origin, strict=True):
            sums[came_from] += getattr(entry.samples, split)
        if SplitCounts(**sums) == entry.original_splits:
            return tuple(origin)
    raise InputError(
        f"{entry.id}: no way to join {entry.samples} gives {entry.original_splits}; fix the"
        " catalogue"
    )


def _subjects(entry: CatalogDataset, numbers: list[int], seed: int) -> NDArray[np.str_]:
    """One to three consecutive images per subject, none in two splits. Views of the same subjects
    share them.
    """
    family = min([entry.id, *entry.subject_overlaps])
    codes, first = [], 0
    for part, number in enumerate(numbers):
        words = Stream(seed, "synthetic", family, "subjects").sequence(part, number)
        lengths = 1 + (words % np.uint64(_MOST_OF_A_SUBJECT)).astype(np.int64)
        codes.append(first + np.repeat(np.arange(number), lengths)[:number])
        first = int(codes[-1][-1]) + 1
    return np.array([f"{family}-{code:06d}" for code in np.concatenate(codes).tolist()])
