"""How labels are painted into scenes, and how they are told as numbers.

Every image of a task has the same number of parts of the same area; its label decides which parts,
where they stand or which way they face. So the label changes what an image shows, and neither its
mean nor its contrast nor its edges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medimeta_adapter.synthetic.catalog import CatalogTask
from medimeta_adapter.synthetic.motifs import LARGE, MOTIFS, PLAIN
from medimeta_adapter.synthetic.pixel_maths import F, Floats, Integers
from medimeta_adapter.synthetic.scene import Scene
from torchcross._kit.randomness import Stream, permutation

_EQUAL_MARKS = 4
MOST_FINDINGS = 3
"""No image has more labels of one multi-label task."""


class Vocabulary:
    """The motifs of a dataset, given out task by task: no two tasks of a dataset share a mark.

    The plain motif is not among them.
    """

    def __init__(self, dataset: str, seed: int) -> None:
        stream = Stream(seed, "synthetic", dataset, "vocabulary")
        large, small = LARGE - 1, MOTIFS - LARGE
        first = permutation(stream, 0, large) + PLAIN + 1
        self._marks = np.concatenate([first, permutation(stream, 1, small) + LARGE])
        self._lesions = permutation(stream, 3, large) + PLAIN + 1
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


def _scaled_keys(task: CatalogTask) -> Floats:
    """Return the label values shifted and scaled to 0..1: gaps between grades stay."""
    keys = np.asarray(task.label_keys, dtype=np.float32)
    return (keys - keys[0]) / (keys[-1] - keys[0])  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Brush:
    """What a factor needs to paint ranks (0, 1, ... or rows of 0 and 1) into a scene."""

    scene: Scene
    task: CatalogTask
    vocabulary: Vocabulary
    strength: float

    def add_marks(self, motifs: Integers) -> None:
        self.scene.add_marks(motifs, self.strength)

    def add_equal_marks(self, numbers: Integers, ranks: Integers) -> None:
        """Give every image the number of marks of its rank, all of one motif.

        Plain ones make up the highest number, even if no image has that rank.
        """
        motif = self.vocabulary.next_marks(1)[0]
        for column in range(int(numbers[-1])):
            self.add_marks(np.where(numbers[ranks] > column, motif, PLAIN))


def _lesion(brush: Brush, ranks: Integers) -> None:
    """Every class is a shape of the lesion."""
    brush.scene.add_lesion(brush.vocabulary.lesions(brush.task.num_labels)[ranks], brush.strength)


def _lesion_or_plain(brush: Brush, ranks: Integers) -> None:
    """The first class has the plain shape, every other one a shape of its own."""
    shapes = brush.vocabulary.lesions(brush.task.num_labels)
    brush.scene.add_lesion(np.where(ranks == 0, PLAIN, shapes[ranks]), brush.strength)


def _lesion_turn(brush: Brush, ranks: Integers) -> None:
    """The grade is how far two equal discs are turned, in proportion to its value."""
    brush.scene.add_lesion(PLAIN, brush.strength)
    brush.scene.lesion_turn[:] = _scaled_keys(brush.task)[ranks]


def _lesion_stretch(brush: Brush, ranks: Integers) -> None:
    """The grade is how far the lesion is stretched, at the same area."""
    brush.scene.lesion_stretch[:] = _scaled_keys(brush.task)[ranks]


def _lesion_shade(brush: Brush, ranks: Integers) -> None:
    """Every class is a direction in which the lesion grows lighter."""
    brush.scene.lesion_shade[:] = ranks


def _weave(brush: Brush, ranks: Integers) -> None:
    """Every class spreads four directions of fine parallel lines over the quarters in its way."""
    brush.scene.weave[:] = ranks
    brush.scene.weave_strength[:] = brush.strength


def _weave_balance(brush: Brush, ranks: Integers) -> None:
    """The grade shifts the contrast from lines one way to lines across them."""
    brush.scene.weave_balance[:] = _scaled_keys(brush.task)[ranks]
    brush.scene.weave_strength[:] = brush.strength


def _veil(brush: Brush, ranks: Integers) -> None:
    """The class is the side that is lighter."""
    brush.scene.veil[:] = (2 * ranks - 1).astype(np.float32) * F(brush.strength)


def _mark_or_plain(brush: Brush, ranks: Integers) -> None:
    """The first class has a plain mark, every other one its motif."""
    motifs = brush.vocabulary.next_marks(brush.task.num_labels - 1)
    brush.add_marks(np.where(ranks == 0, PLAIN, motifs[ranks - 1]))


def _marks(brush: Brush, answers: Integers) -> None:
    """Every label that applies has its mark; plain ones make up the same number in all images."""
    motifs = brush.vocabulary.next_marks(brush.task.num_labels)
    columns = min(MOST_FINDINGS, brush.task.num_labels)
    # A stable sort brings the labels that apply to the front and keeps their order.
    order = np.argsort(1 - answers, axis=1, kind="stable")[:, :columns]
    present = np.take_along_axis(answers, order, axis=1) == 1
    for column in range(columns):
        brush.add_marks(np.where(present[:, column], motifs[order[:, column]], PLAIN))


def _count(brush: Brush, ranks: Integers) -> None:
    """The grade is how many of four marks have one motif, in proportion to its value."""
    numbers = np.floor(_scaled_keys(brush.task) * F(_EQUAL_MARKS) + F(0.5)).astype(np.int64)
    brush.add_equal_marks(numbers, ranks)


def _few(brush: Brush, ranks: Integers) -> None:
    """The class is how many marks have one motif: none, one, two."""
    brush.add_equal_marks(np.arange(brush.task.num_labels), ranks)


# -- the same as numbers ---------------------------------------------------------------------------


def _kinds(task: CatalogTask, ranks: Integers) -> Floats:
    """A column per class, 1 where it is shown."""
    return np.eye(task.num_labels, dtype=np.float32)[ranks]


def _grades(task: CatalogTask, ranks: Integers) -> Floats:
    """A column for each grade but the first, 1 where the grade is at least that."""
    return (ranks[:, None] >= np.arange(1, task.num_labels)).astype(np.float32)


def _findings(task: CatalogTask, answers: Integers) -> Floats:
    """A column per label, 1 where its mark is shown, and one with the share of plain marks."""
    plain = 1 - answers.sum(axis=1, keepdims=True) / MOST_FINDINGS
    return np.concatenate([answers, plain], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Factor:
    """An independent part of the image that carries a task.

    paint    puts ranks into a scene
    numbers  tells the same ranks as columns of numbers
    """

    name: str
    paint: Callable[[Brush, Integers], None]
    numbers: Callable[[CatalogTask, Integers], Floats]


LESION = Factor("shape of the lesion", _lesion, _kinds)
LESION_OR_PLAIN = Factor("shape of the lesion, or the plain one", _lesion_or_plain, _kinds)
TURN = Factor("turn of two parts of the lesion", _lesion_turn, _grades)
STRETCH = Factor("elongation of the lesion", _lesion_stretch, _grades)
SHADE = Factor("lighter side of the lesion", _lesion_shade, _kinds)
WEAVE = Factor("directions of the lines in the quarters", _weave, _kinds)
VEIL = Factor("lighter side of the image", _veil, _kinds)
BALANCE = Factor("balance of two crossed sets of lines", _weave_balance, _grades)
MARK_OR_PLAIN = Factor("kind of mark, or the plain one", _mark_or_plain, _kinds)
MARKS = Factor("marks among plain ones", _marks, _findings)
COUNT = Factor("number of marks among four", _count, _grades)
FEW = Factor("number of marks among two", _few, _grades)
