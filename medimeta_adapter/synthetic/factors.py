"""Which part of the image carries which task.

The parts are the same in every domain: this is what a model can transfer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from medimeta_adapter.synthetic.catalog import CatalogDataset, CatalogTask
from medimeta_adapter.synthetic.motifs import SHAPES
from medimeta_adapter.synthetic.pixel_maths import F, Floats, Integers
from medimeta_adapter.synthetic.scene import ABSENT, Scene
from torchcross._kit.randomness import Stream, permutation

_LEAST_STRENGTH, _MOST_SLIPS = 0.6, 0.2
_MOST_OF_A_KIND, _DEEPEST = 6, 2.2
_DISC = list(SHAPES).index("disc")


class Vocabulary:
    """The motifs of a dataset, given out task by task: no two tasks of a dataset share a mark."""

    def __init__(self, dataset: str, seed: int) -> None:
        stream = Stream(seed, "synthetic", dataset, "vocabulary")
        shapes = len(SHAPES)
        orders = [permutation(stream, fill, shapes) + fill * shapes for fill in range(3)]
        self._marks = np.concatenate(orders)
        self._lesions = permutation(stream, 3, shapes)
        self._used = 0

    def next_marks(self, count: int) -> Integers:
        """Return the next `count` motifs for small marks."""
        self._used += count
        return self._marks[self._used - count : self._used]

    def distractors(self) -> Integers:
        """Return the motifs that carry no label here."""
        return self._marks[self._used :]

    def lesions(self, count: int) -> Integers:
        """Return `count` shapes for the lesion."""
        return self._lesions[:count]


@dataclass(frozen=True)
class Brush:
    """What a factor needs to paint ranks (0, 1, ... or rows of 0 and 1) into a scene."""

    scene: Scene
    task: CatalogTask
    vocabulary: Vocabulary
    strength: float

    def scaled_keys(self) -> Floats:
        """Return the task's label values shifted and scaled to 0..1: gaps between grades stay."""
        keys = np.asarray(self.task.label_keys, dtype=np.float32)
        return (keys - keys[0]) / (keys[-1] - keys[0])  # type: ignore[no-any-return]

    def add_marks(self, motifs: Integers) -> None:
        self.scene.add_marks(motifs, self.strength)

    def add_equal_marks(self, numbers: Integers, ranks: Integers) -> None:
        """Give every image the number of marks of its rank, all of one motif.

        There are columns for the highest rank even if no image has it.
        """
        motif = self.vocabulary.next_marks(1)[0]
        for column in range(int(numbers[-1])):
            self.add_marks(np.where(numbers[ranks] > column, motif, ABSENT))


def _lesion(brush: Brush, ranks: Integers) -> None:
    """Every class is a shape of the lesion."""
    brush.scene.add_lesion(brush.vocabulary.lesions(brush.task.num_labels)[ranks], brush.strength)


def _lesion_or_none(brush: Brush, ranks: Integers) -> None:
    """The first class has no lesion, every other one has its shape."""
    shapes = brush.vocabulary.lesions(brush.task.num_labels)
    brush.scene.add_lesion(np.where(ranks == 0, ABSENT, shapes[ranks]), brush.strength)


def _lesion_size(brush: Brush, ranks: Integers) -> None:
    """The grade is the size of a disc, in proportion to its value."""
    brush.scene.add_lesion(_DISC, brush.strength)
    brush.scene.lesion_size[:] = brush.scaled_keys()[ranks]


def _lesion_stretch(brush: Brush, ranks: Integers) -> None:
    """The grade is how far the lesion is stretched."""
    brush.scene.lesion_stretch[:] = brush.scaled_keys()[ranks]


def _lesion_fill(brush: Brush, ranks: Integers) -> None:
    brush.scene.lesion_fill[:] = ranks


def _weave(brush: Brush, ranks: Integers) -> None:
    """Every class is a direction and spacing of fine parallel lines."""
    brush.scene.weave[:] = ranks
    brush.scene.weave_strength[:] = brush.strength


def _weave_depth(brush: Brush, ranks: Integers) -> None:
    """The grade is the contrast of the lines, from none to high."""
    brush.scene.weave[:] = 0
    depth = F(_DEEPEST * brush.strength)
    brush.scene.weave_strength[:] = brush.scaled_keys()[ranks] * depth


def _veil(brush: Brush, ranks: Integers) -> None:
    """The second class has a wide, soft spot."""
    brush.scene.veil[:] = ranks.astype(np.float32) * F(brush.strength)


def _mark(brush: Brush, ranks: Integers) -> None:
    """Every class is the motif of one small mark."""
    brush.add_marks(brush.vocabulary.next_marks(brush.task.num_labels)[ranks])


def _mark_or_none(brush: Brush, ranks: Integers) -> None:
    """The first class has no mark, every other one has its motif."""
    motifs = brush.vocabulary.next_marks(brush.task.num_labels - 1)
    brush.add_marks(np.where(ranks == 0, ABSENT, motifs[ranks - 1]))


def _marks(brush: Brush, answers: Integers) -> None:
    """Every label that applies has its mark. There are as many columns as any image has labels."""
    motifs = brush.vocabulary.next_marks(brush.task.num_labels)
    most = int(answers.sum(axis=1).max(initial=0))
    # A stable sort brings the labels that apply to the front and keeps their order.
    order = np.argsort(1 - answers, axis=1, kind="stable")[:, :most]
    present = np.take_along_axis(answers, order, axis=1) == 1
    for column in range(most):
        brush.add_marks(np.where(present[:, column], motifs[order[:, column]], ABSENT))


def _count(brush: Brush, ranks: Integers) -> None:
    """The grade is a number of equal marks, in proportion to its value: none to six."""
    numbers = np.floor(brush.scaled_keys() * F(_MOST_OF_A_KIND) + F(0.5)).astype(np.int64)
    brush.add_equal_marks(numbers, ranks)


def _few(brush: Brush, ranks: Integers) -> None:
    """The class is a number of equal marks: none, one, three."""
    numbers = np.maximum(2 * np.arange(brush.task.num_labels) - 1, 0)
    brush.add_equal_marks(numbers, ranks)


@dataclass(frozen=True)
class Factor:
    """An independent part of the image that carries a task."""

    name: str
    paint: Callable[[Brush, Integers], None]


@dataclass(frozen=True)
class Derived:
    """A task whose labels follow from another task: class c of `parent` is class `classes[c]` here.

    If the parent has several labels per image, c is 1 if any of them applies, else 0.
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
"""Multi-label tasks in which one label never occurs without another, as in the published files."""


def difficulty(task: CatalogTask, seed: int) -> float:
    """Return how hard a task is, 0 to 1.

    The harder it is, the fainter is its content, and the more images show another label's content.
    A derived task is as hard as its parent.
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
            hardness = difficulty(task, seed)
            visible = _replace_some(ranks[task.name], task, _MOST_SLIPS * hardness, seed)
            strength = 1 - (1 - _LEAST_STRENGTH) * hardness
            factor.paint(Brush(scene, task, vocabulary, strength), visible)
    return scene, vocabulary.distractors()


def _replace_some(ranks: Integers, task: CatalogTask, share: float, seed: int) -> Integers:
    """Return the ranks, a share of them replaced by those of another image."""
    stream = Stream(seed, "synthetic", task.dataset, task.name, "slips")
    # Compare 24 random bits with the share in 24 bits: integers, so no machine rounds otherwise.
    slips = stream.sequence(0, len(ranks)) >> np.uint64(40) < np.uint64(int(share * 2**24))
    others = permutation(stream, 1, len(ranks))
    mask = slips if ranks.ndim == 1 else slips[:, None]
    return np.where(mask, ranks[others], ranks)
