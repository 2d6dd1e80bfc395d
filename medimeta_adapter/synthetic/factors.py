"""Which part of the image carries which task. The parts are the same in every domain; that is what
transfers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.synthetic.catalog import CatalogDataset, CatalogTask
from medimeta_adapter.synthetic.motifs import SHAPES
from medimeta_adapter.synthetic.scene import ABSENT, Scene
from torchcross._kit.randomness import Stream

__all__ = [
    "FACTORS",
    "IMPLIED",
    "Derived",
    "Factor",
    "Vocabulary",
    "derived",
    "difficulty",
    "paint",
]

Integers = NDArray[np.int64]

_LEAST_STRENGTH, _MOST_SLIPS = 0.6, 0.2
_MOST_OF_A_KIND, _DEEPEST = 6, 2.2
_DISC = list(SHAPES).index("disc")


class Vocabulary:
    """The motifs of a dataset, dealt out task by task: no two tasks of a dataset share a mark."""

    def __init__(self, dataset: str, seed: int) -> None:
        stream = Stream(seed, "synthetic", dataset, "vocabulary")
        shapes = len(SHAPES)
        orders = [_shuffled(stream.sequence(fill, shapes)) + fill * shapes for fill in range(3)]
        self._marks = np.concatenate(orders)
        self._lesions = _shuffled(stream.sequence(3, shapes))
        self.used = 0

    def marks(self, count: int) -> Integers:
        """The next `count` motifs for small marks."""
        self.used += count
        return self._marks[self.used - count : self.used]

    def unused(self) -> Integers:
        """Motifs that carry no label here: distractors."""
        return self._marks[self.used :]

    def lesions(self, count: int) -> Integers:
        """`count` shapes for the lesion."""
        return self._lesions[:count]


@dataclass(frozen=True)
class Brush:
    """All that a factor may look at when it puts ranks (0, 1, ... or rows of 0 and 1) into a
    scene.
    """

    scene: Scene
    task: CatalogTask
    vocabulary: Vocabulary
    strength: float

    def scaled_keys(self) -> NDArray[np.float32]:
        """The task's label values, shifted and scaled to 0..1: gaps between grades stay gaps."""
        keys = np.asarray(self.task.label_keys, dtype=np.float32)
        scaled: NDArray[np.float32] = (keys - keys[0]) / (keys[-1] - keys[0])
        return scaled


def _lesion(brush: Brush, ranks: Integers) -> None:
    """Every class is a shape of the lesion."""
    brush.scene.has_lesion = True
    brush.scene.lesion[:] = brush.vocabulary.lesions(brush.task.num_labels)[ranks]
    brush.scene.lesion_strength[:] = brush.strength


def _lesion_or_none(brush: Brush, ranks: Integers) -> None:
    """The first class has no lesion, every other one a shape of its own."""
    shapes = brush.vocabulary.lesions(brush.task.num_labels)
    brush.scene.has_lesion = True
    brush.scene.lesion[:] = np.where(ranks == 0, ABSENT, shapes[ranks])
    brush.scene.lesion_strength[:] = brush.strength


def _lesion_size(brush: Brush, ranks: Integers) -> None:
    """The grade is the size of a disc, in proportion to its value."""
    brush.scene.has_lesion = True
    brush.scene.lesion[:] = _DISC
    brush.scene.lesion_strength[:] = brush.strength
    brush.scene.lesion_size[:] = brush.scaled_keys()[ranks]


def _lesion_stretch(brush: Brush, ranks: Integers) -> None:
    """The grade is how far the lesion is drawn out."""
    brush.scene.lesion_stretch[:] = brush.scaled_keys()[ranks]


def _lesion_fill(brush: Brush, ranks: Integers) -> None:
    brush.scene.lesion_fill[:] = ranks


def _weave(brush: Brush, ranks: Integers) -> None:
    """Every class is a direction and spacing of fine parallel lines."""
    brush.scene.weave[:] = ranks
    brush.scene.weave_strength[:] = brush.strength


def _weave_depth(brush: Brush, ranks: Integers) -> None:
    """The grade is how deep the lines are, from none to very."""
    brush.scene.weave[:] = 0
    brush.scene.weave_strength[:] = brush.scaled_keys()[ranks] * np.float32(
        _DEEPEST * brush.strength
    )


def _veil(brush: Brush, ranks: Integers) -> None:
    """The second class has a wide, soft spot."""
    brush.scene.veil[:] = ranks.astype(np.float32) * np.float32(brush.strength)


def _mark(brush: Brush, ranks: Integers) -> None:
    """Every class is the motif of one small mark."""
    brush.scene.add_marks(brush.vocabulary.marks(brush.task.num_labels)[ranks], brush.strength)


def _mark_or_none(brush: Brush, ranks: Integers) -> None:
    """The first class has no mark, every other one a motif of its own."""
    motifs = brush.vocabulary.marks(brush.task.num_labels - 1)
    brush.scene.add_marks(np.where(ranks == 0, ABSENT, motifs[ranks - 1]), brush.strength)


def _marks(brush: Brush, answers: Integers) -> None:
    """Every label that applies has its mark: as many columns as any image has labels."""
    motifs = brush.vocabulary.marks(brush.task.num_labels)
    most = int(answers.sum(axis=1).max(initial=0))
    order = np.argsort(1 - answers, axis=1, kind="stable")[:, :most]
    present = np.take_along_axis(answers, order, axis=1) == 1
    for column in range(most):
        brush.scene.add_marks(
            np.where(present[:, column], motifs[order[:, column]], ABSENT), brush.strength
        )


def _count(brush: Brush, ranks: Integers) -> None:
    """The grade is a number of equal marks: none for the lowest, six for the highest, in proportion
    to its value.
    """
    motif = brush.vocabulary.marks(1)[0]
    numbers = np.floor(brush.scaled_keys() * np.float32(_MOST_OF_A_KIND) + np.float32(0.5)).astype(
        np.int64
    )
    for column in range(_MOST_OF_A_KIND):
        brush.scene.add_marks(np.where(numbers[ranks] > column, motif, ABSENT), brush.strength)


def _few(brush: Brush, ranks: Integers) -> None:
    """The class is a number of equal marks: none, one, three."""
    motif = brush.vocabulary.marks(1)[0]
    numbers = np.maximum(2 * np.arange(brush.task.num_labels) - 1, 0)
    for column in range(int(numbers[-1])):
        brush.scene.add_marks(np.where(numbers[ranks] > column, motif, ABSENT), brush.strength)


@dataclass(frozen=True)
class Factor:
    """An independent part of the image that carries a task."""

    name: str
    paint: Callable[[Brush, Integers], None]


@dataclass(frozen=True)
class Derived:
    """A task that follows from another one's labels: class c of `parent` is class `classes[c]`
    here.

    For a multi-label parent, c is whether any of its labels applies.
    """

    parent: str
    classes: tuple[int, ...]
    name: str = field(default="derived", init=False)


LESION = Factor("shape of the lesion", _lesion)
LESION_OR_NONE = Factor("lesion, where there is one", _lesion_or_none)
SIZE = Factor("size of the lesion", _lesion_size)
STRETCH = Factor("elongation of the lesion", _lesion_stretch)
FILL = Factor("filling of the lesion", _lesion_fill)
WEAVE = Factor("direction of the lines", _weave)
VEIL = Factor("veil, where there is one", _veil)
DEPTH = Factor("depth of the lines", _weave_depth)
MARK = Factor("kind of mark", _mark)
MARK_OR_NONE = Factor("mark, where there is one", _mark_or_none)
MARKS = Factor("marks present", _marks)
COUNT = Factor("number of marks", _count)
FEW = Factor("few or many marks", _few)

_SKIN_LESION: dict[str, Factor | Derived] = {
    "Diagnosis": LESION,
    "Diagnosis grouped": Derived("Diagnosis", (0, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4)),
    "Pigment Network": FILL,
    "Blue Whitish Veil": VEIL,
    "Vascular Structures": MARK_OR_NONE,
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
        "bus": {"case category": LESION_OR_NONE, "malignancy": Derived("case category", (0, 0, 1))},
        "crc": {"tissue class": WEAVE},
        "cxr": {"disease labels": MARKS, "patient sex": VEIL},
        "derm": {"disease category": LESION},
        "dr_regular": {
            "DR level": COUNT,
            "Overall quality": FILL,
            "Artifact": DEPTH,
            "Clarity": SIZE,
            "Field definition": STRETCH,
        },
        "dr_uwf": {"DR level": COUNT},
        "fundus": {"disease presence": Derived("disease labels", (0, 1)), "disease labels": MARKS},
        "glaucoma": {"Glaucoma suspect": SIZE},
        "mammo_calc": {"pathology": LESION_OR_NONE, "calc type": MARKS, "calc distribution": MARKS},
        "mammo_mass": {"pathology": LESION_OR_NONE, "mass shape": MARKS, "mass margins": MARKS},
        "oct": {"disease class": LESION, "urgent referral": Derived("disease class", (1, 1, 0, 0))},
        "organs_axial": {"organ label": LESION},
        "organs_coronal": {"organ label": LESION},
        "organs_sagittal": {"organ label": LESION},
        "pbc": {"cell class": LESION},
        "pneumonia": {
            "pneumonia presence": Derived("disease class", (0, 1, 1)),
            "disease class": LESION_OR_NONE,
        },
        "skinl_photo": _SKIN_LESION,
        "skinl_derm": _SKIN_LESION,
    }
)
"""What carries each task of each dataset."""

IMPLIED: Mapping[tuple[str, str], Sequence[tuple[int, int]]] = MappingProxyType(
    {("mammo_calc", "calc type"): ((7, 6),)}
)
"""Multi-label tasks in which one label never comes without another, as in the published files."""


def difficulty(task: CatalogTask, seed: int) -> float:
    """How hard a task was made, 0 to 1: the fainter its content, and the more often it shows what
    is not the label.

    A derived task is as hard as the one that it follows from.
    """
    rule = FACTORS[task.dataset][task.name]
    name = rule.parent if isinstance(rule, Derived) else task.name
    word = Stream(seed, "synthetic", task.dataset, name, "difficulty").words(0).take()
    return (word >> 40) / 2**24


def derived(rule: Derived, labels: Integers) -> Integers:
    """The labels of a derived task, as ranks."""
    classes = labels if labels.ndim == 1 else labels.any(axis=1).astype(np.int64)
    return np.asarray(rule.classes, dtype=np.int64)[classes]


def paint(
    dataset: CatalogDataset, ranks: Mapping[str, Integers], seed: int
) -> tuple[Scene, Integers]:
    """What images with these labels show, and the motifs that carry none of them (distractors)."""
    count = len(next(iter(ranks.values())))
    scene, vocabulary = Scene(count), Vocabulary(dataset.id, seed)
    for task in dataset.tasks:
        factor = FACTORS[dataset.id][task.name]
        if isinstance(factor, Factor):
            hard = difficulty(task, seed)
            shown = _slipped(ranks[task.name], task, _MOST_SLIPS * hard, seed)
            factor.paint(Brush(scene, task, vocabulary, 1 - (1 - _LEAST_STRENGTH) * hard), shown)
    return scene, vocabulary.unused()


def _slipped(ranks: Integers, task: CatalogTask, share: float, seed: int) -> Integers:
    """The labels with a share of them replaced by those of another image."""
    stream = Stream(seed, "synthetic", task.dataset, task.name, "slips")
    slips = stream.sequence(0, len(ranks)) >> np.uint64(40) < np.uint64(int(share * 2**24))
    others = _shuffled(stream.sequence(1, len(ranks)))
    mask = slips if ranks.ndim == 1 else slips[:, None]
    return np.where(mask, ranks[others], ranks)


def _shuffled(words: NDArray[np.uint64]) -> Integers:
    return np.argsort(words, kind="stable")
