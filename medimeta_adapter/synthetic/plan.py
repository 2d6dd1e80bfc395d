"""Plans a synthetic dataset: how many images, and their labels, splits and subjects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.format.info import SplitCounts
from medimeta_adapter.format.problems import TaskTarget
from medimeta_adapter.format.splits import SPLITS
from medimeta_adapter.synthetic.catalog import CatalogDataset, CatalogTask
from medimeta_adapter.synthetic.factors import FACTORS, IMPLIED, Derived, ranks_from_parent
from medimeta_adapter.synthetic.painters import MOST_FINDINGS
from medimeta_adapter.synthetic.pixel_maths import Integers
from torchcross._kit.randomness import Stream, permutation
from torchcross.errors import InputError

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
_PAIRS = frozenset({"dr_regular"})
"""Datasets of two images of each subject: both eyes."""


@dataclass(frozen=True)
class Scale:
    """A share of the real number of images, and the least number of each class.

    For a label, this is the least number of images that have it.

    >>> from medimeta_adapter.synthetic import SCALES
    >>> [name for name, scale in SCALES.items() if scale.per_class >= 5 + 10]  # shots + queries
    ['small', 'medium']
    >>> SCALES["medium"]
    Scale(share=0.05, per_class=70)
    """

    share: float
    per_class: int


SCALES: Mapping[str, Scale] = MappingProxyType(
    {"tiny": Scale(0.0, 12), "small": Scale(0.005, 70), "medium": Scale(0.05, 70)}
)
"""The scales by name. A number instead is a share of the real sizes, with 12 of each class."""


@dataclass(frozen=True)
class DatasetPlan:
    """Everything of a dataset but its pixels.

    Ranks are positions in a task's label keys, or rows of 0 and 1.
    """

    entry: CatalogDataset
    splits: NDArray[np.str_]
    original_splits: NDArray[np.str_]
    subjects: NDArray[np.str_] | None
    ranks: Mapping[str, Integers]

    def labels(self, task: CatalogTask) -> Integers:
        """Return the labels of a task as they are stored."""
        ranks = self.ranks[task.name]
        return ranks if ranks.ndim == 2 else np.asarray(task.label_keys, dtype=np.int64)[ranks]


def scale_of(scale: str | float) -> Scale:
    """Return the scale of this name, or of this share of the real sizes."""
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


def split_sizes(entry: CatalogDataset, scale: Scale) -> SplitCounts:
    """Return the images per split: the share, or what the classes need, at most the real number."""
    counts = {}
    for split in SPLITS:
        real = getattr(entry.samples, split)
        needs = [_images_needed(task, _least(scale, split)) for task in _independent(entry)]
        least = max(math.ceil(_FEWEST_IMAGES * _SHARES[split]), *needs)
        counts[split] = min(real, max(math.floor(real * scale.share + 0.5), least))
    return SplitCounts(**counts)


def plan_dataset(entry: CatalogDataset, scale: Scale, seed: int) -> DatasetPlan:
    """Draw labels, splits and subjects.

    Every task that is not derived is drawn independently. The number of each class is fixed; chance
    decides only which image has it.
    """
    counts = split_sizes(entry, scale)
    numbers = [getattr(counts, split) for split in SPLITS]
    # Everything is built split by split; this order mixes the splits.
    order = permutation(Stream(seed, "synthetic", entry.id, "order"), 0, counts.total)
    ranks: dict[str, Integers] = {}
    for task in _independent(entry):
        multilabel = task.task_target == TaskTarget.MULTILABEL_CLASSIFICATION
        draw = _draw_answers if multilabel else _draw_classes
        parts = [
            draw(task, number, _least(scale, split), seed, part)
            for part, (split, number) in enumerate(zip(SPLITS, numbers, strict=True))
        ]
        ranks[task.name] = np.concatenate(parts)[order]
    for task in entry.tasks:
        rule = FACTORS[entry.id][task.name]
        if isinstance(rule, Derived):
            ranks[task.name] = ranks_from_parent(rule, ranks[rule.parent])
    subjects = None
    if entry.id in _SUBJECTS | _PAIRS:
        subjects = _subjects(entry, numbers, seed)[order]
    return DatasetPlan(
        entry,
        splits=np.repeat(np.array(SPLITS), numbers)[order],
        original_splits=np.repeat(np.array(_original_splits(entry)), numbers)[order],
        subjects=subjects,
        ranks={task.name: ranks[task.name] for task in entry.tasks},
    )


def _independent(entry: CatalogDataset) -> list[CatalogTask]:
    return [task for task in entry.tasks if not isinstance(FACTORS[entry.id][task.name], Derived)]


# -- labels ----------------------------------------------------------------------------------------


def _least(scale: Scale, split: str) -> int:
    """Return the least number of each class in a split, if the real dataset is large enough."""
    return math.ceil(scale.per_class * _SHARES[split])


def _images_needed(task: CatalogTask, least: int) -> int:
    """Return how many images have room for this many of each class."""
    per_label = 1.0
    if task.task_target == TaskTarget.MULTILABEL_CLASSIFICATION:
        per_label = 1 / (_FINDINGS_PER_IMAGE * _WITH_FINDINGS)
    return math.ceil(least * task.num_labels * per_label)


def _draw_classes(task: CatalogTask, count: int, least: int, seed: int, part: int) -> Integers:
    """Draw one class per image. Class c has a weight of 1 / (c + 2)."""
    classes = task.num_labels
    least = min(least, count // classes)
    quotas = _share_out(count - least * classes, [1 / (rank + 2) for rank in range(classes)])
    labels = np.repeat(np.arange(classes), [least + quota for quota in quotas])
    return labels[_label_order(task, count, seed, part)]


def _draw_answers(task: CatalogTask, count: int, least: int, seed: int, part: int) -> Integers:
    """Draw rows of 0 and 1: three images in four have labels, two on average, at most three.

    Label l has a weight of 1 / (l + 4).
    """
    with_findings = math.ceil(count * _WITH_FINDINGS)
    least = min(least, count // 4)
    weights = [1 / (label + 4) for label in range(task.num_labels)]
    quotas = _share_out(math.floor(with_findings * _FINDINGS_PER_IMAGE), weights)
    answers = np.zeros((count, task.num_labels), dtype=np.int64)
    stream = Stream(seed, "synthetic", task.dataset, task.name, "answers", part)
    implied = dict(IMPLIED.get((task.dataset, task.name), ()))
    for label, quota in enumerate(quotas):
        order = permutation(stream, label, with_findings)
        added = answers[order].copy()
        added[:, [label, implied.get(label, label)]] = 1
        order = order[added.sum(axis=1) <= MOST_FINDINGS]
        chosen = order[: min(max(quota, least), count // 2)]
        answers[chosen, label] = answers[chosen, implied.get(label, label)] = 1
    return answers[_label_order(task, count, seed, part)]


def _share_out(count: int, weights: list[float]) -> list[int]:
    """Return `count` divided in proportion to the weights; the remainder goes to the first."""
    total = sum(weights)
    shares = [math.floor(count * weight / total) for weight in weights]
    remainder = count - sum(shares)
    return [share + (rank < remainder) for rank, share in enumerate(shares)]


def _label_order(task: CatalogTask, count: int, seed: int, part: int) -> Integers:
    return permutation(Stream(seed, "synthetic", task.dataset, task.name, "labels"), part, count)


# -- splits and subjects ---------------------------------------------------------------------------


def _original_splits(entry: CatalogDataset) -> tuple[str, ...]:
    """Return which original split each split comes from, judged by the published numbers."""
    for origin in [SPLITS, *product(SPLITS, repeat=3)]:
        sums = dict.fromkeys(SPLITS, 0)
        for split, came_from in zip(SPLITS, origin, strict=True):
            sums[came_from] += getattr(entry.samples, split)
        if SplitCounts(**sums) == entry.original_splits:
            return tuple(origin)
    raise InputError(
        f"{entry.id}: no union of {entry.samples} gives {entry.original_splits}; fix the catalogue"
    )


def _subjects(entry: CatalogDataset, numbers: list[int], seed: int) -> NDArray[np.str_]:
    """Draw one to three consecutive images per subject, or pairs, with no subject in two splits.

    Datasets that show the same subjects get the same ids.
    """
    family = min([entry.id, *entry.subject_overlaps])
    codes, first = [], 0
    for part, number in enumerate(numbers):
        words = Stream(seed, "synthetic", family, "subjects").sequence(part, number)
        lengths = 1 + (words % np.uint64(_MOST_OF_A_SUBJECT)).astype(np.int64)
        if entry.id in _PAIRS:
            lengths[:] = 2
        codes.append(first + np.repeat(np.arange(number), lengths)[:number])
        first = int(codes[-1][-1]) + 1
    return np.array([f"{family}-{code:06d}" for code in np.concatenate(codes).tolist()])
