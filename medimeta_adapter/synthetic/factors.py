"""Which part of the image carries which task.

The parts are the same in every domain: this is what a model can transfer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from medimeta_adapter.synthetic.catalog import CatalogDataset, CatalogTask, datasets
from medimeta_adapter.synthetic.painters import (
    BALANCE,
    COUNT,
    FEW,
    LESION,
    LESION_OR_PLAIN,
    MARK_OR_PLAIN,
    MARKS,
    SHADE,
    STRETCH,
    TURN,
    VEIL,
    WEAVE,
    Brush,
    Factor,
    Vocabulary,
)
from medimeta_adapter.synthetic.pixel_maths import Floats, Integers
from medimeta_adapter.synthetic.scene import Scene
from torchcross._kit.randomness import Stream, permutation

_LEAST_STRENGTH, _MOST_SLIPS = 0.75, 0.08


@dataclass(frozen=True)
class Derived:
    """A task whose labels follow from another task: class c of `parent` is class `classes[c]` here.

    If the parent has several labels per image, c is 1 if any of them applies, else 0.
    """

    parent: str
    classes: tuple[int, ...]
    name: str = field(default="derived", init=False)


_SKIN_LESION: dict[str, Factor | Derived] = {
    "Diagnosis": LESION,
    "Diagnosis grouped": Derived("Diagnosis", (0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4)),
    "Pigment Network": SHADE,
    "Blue Whitish Veil": VEIL,
    "Vascular Structures": MARK_OR_PLAIN,
    "Vascular Structures grouped": Derived("Vascular Structures", (0, 1, 1, 1, 1, 2, 2, 2)),
    "Pigmentation": WEAVE,
    "Pigmentation grouped": Derived("Pigmentation", (0, 1, 1, 2, 2)),
    "Streaks": FEW,
    "Dots and Globules": FEW,
    "Regression Structures": STRETCH,
    "Regression Structures grouped": Derived("Regression Structures", (0, 1, 1, 1)),
}

FACTORS: Mapping[str, Mapping[str, Factor | Derived]] = MappingProxyType(
    {
        "aml": {"morphological class": LESION},
        "bus": {
            "case category": LESION_OR_PLAIN,
            "malignancy": Derived("case category", (0, 0, 1)),
        },
        "crc": {"tissue class": WEAVE},
        "cxr": {"disease labels": MARKS, "patient sex": VEIL},
        "derm": {"disease category": LESION},
        "dr_regular": {
            "DR level": COUNT,
            "Overall quality": SHADE,
            "Artifact": BALANCE,
            "Clarity": TURN,
            "Field definition": STRETCH,
        },
        "dr_uwf": {"DR level": COUNT},
        "fundus": {"disease presence": Derived("disease labels", (0, 1)), "disease labels": MARKS},
        "glaucoma": {"Glaucoma suspect": TURN},
        "mammo_calc": {
            "pathology": LESION_OR_PLAIN,
            "calc type": MARKS,
            "calc distribution": MARKS,
        },
        "mammo_mass": {"pathology": LESION_OR_PLAIN, "mass shape": MARKS, "mass margins": MARKS},
        "oct": {"disease class": LESION, "urgent referral": Derived("disease class", (1, 1, 0, 0))},
        "organs_axial": {"organ label": LESION},
        "organs_coronal": {"organ label": LESION},
        "organs_sagittal": {"organ label": LESION},
        "pbc": {"cell class": LESION},
        "pneumonia": {
            "pneumonia presence": Derived("disease class", (0, 1, 1)),
            "disease class": LESION_OR_PLAIN,
        },
        "skinl_photo": _SKIN_LESION,
        "skinl_derm": _SKIN_LESION,
    }
)
"""What carries each task of each dataset."""

IMPLIED: Mapping[tuple[str, str], Sequence[tuple[int, int]]] = MappingProxyType(
    {("mammo_calc", "calc type"): ((7, 6),)}
)
"""Multi-label tasks in which one label never occurs without another, as in the published files."""


def difficulty(task: CatalogTask, seed: int) -> float:
    """Return how hard a task is, 0 to 1.

    The harder it is, the fainter is its content, and the more images show another label's content.
    A derived task is as hard as its parent.

    >>> from medimeta_adapter.synthetic import catalog, difficulty
    >>> tasks = [catalog.datasets[name].primary_task for name in ("derm", "oct", "pbc")]
    >>> {task.dataset: round(difficulty(task, seed=0), 2) for task in tasks}
    {'derm': 0.2, 'oct': 0.45, 'pbc': 0.89}
    """
    rule = FACTORS[task.dataset][task.name]
    name = rule.parent if isinstance(rule, Derived) else task.name
    word = Stream(seed, "synthetic", task.dataset, name, "difficulty").words(0).take()
    return (word >> 40) / 2**24


def ranks_from_parent(rule: Derived, ranks: Integers) -> Integers:
    """Return the ranks of a derived task from those of its parent."""
    classes = ranks if ranks.ndim == 1 else ranks.any(axis=1).astype(np.int64)
    return np.asarray(rule.classes, dtype=np.int64)[classes]


def paint(
    dataset: CatalogDataset, ranks: Mapping[str, Integers], seed: int
) -> tuple[Scene, Integers]:
    """Return what images with these labels show, and motifs for distractors, which carry none."""
    count = len(next(iter(ranks.values())))
    scene, vocabulary = Scene(count), Vocabulary(dataset.id, seed)
    for task in dataset.tasks:
        factor = FACTORS[dataset.id][task.name]
        if isinstance(factor, Factor):
            strength = 1 - (1 - _LEAST_STRENGTH) * difficulty(task, seed)
            visible = _visible_ranks(ranks[task.name], task, seed)
            factor.paint(Brush(scene, task, vocabulary, strength), visible)
    return scene, vocabulary.distractors()


def factor_numbers(task: CatalogTask, ranks: Mapping[str, Integers], seed: int) -> Floats:
    """Return what images with these labels show of a task, as numbers: (images, columns).

    A derived task is shown as its parent. Where an image shows another image's content, so do
    the numbers.
    """
    rule = FACTORS[task.dataset][task.name]
    if isinstance(rule, Derived):
        siblings = {other.name: other for other in datasets[task.dataset].tasks}
        return factor_numbers(siblings[rule.parent], ranks, seed)
    return rule.numbers(task, _visible_ranks(ranks[task.name], task, seed))


def _visible_ranks(ranks: Integers, task: CatalogTask, seed: int) -> Integers:
    """Return the ranks, some of them replaced by those of another image."""
    share = _MOST_SLIPS * difficulty(task, seed)
    stream = Stream(seed, "synthetic", task.dataset, task.name, "slips")
    # Compare 24 random bits with the share in 24 bits: integers, so no machine rounds otherwise.
    slips = stream.sequence(0, len(ranks)) >> np.uint64(40) < np.uint64(int(share * 2**24))
    others = permutation(stream, 1, len(ranks))
    mask = slips if ranks.ndim == 1 else slips[:, None]
    return np.where(mask, ranks[others], ranks)
