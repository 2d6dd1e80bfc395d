"""What an image contains, whatever its domain looks like: a lesion, small marks, a weave."""

from __future__ import annotations

import numpy as np

from medimeta_adapter.synthetic.pixel_maths import Integers

ABSENT = -1
"""The motif of an empty place."""


class Scene:
    """The content of `count` images, which the factors fill in.

    Motifs are numbers of the vocabulary, or ABSENT.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.has_lesion = False
        self.lesion = np.full(count, ABSENT, dtype=np.int64)
        self.lesion_turn = np.full(count, -1, dtype=np.float32)
        """A lesion of two discs, 0 (side by side) to 1 (one above the other); negative: a shape."""
        self.lesion_shade = np.full(count, ABSENT, dtype=np.int64)
        """The direction in which the lesion grows lighter, in thirds of a turn; ABSENT for none."""
        self.lesion_stretch = np.zeros(count, dtype=np.float32)
        """0 (as it is) to 1 (stretched most, at the same area)."""
        self.lesion_strength = np.ones(count, dtype=np.float32)
        self.weave = np.full(count, ABSENT, dtype=np.int64)
        """How the directions of lines are spread over the quarters; ABSENT for none."""
        self.weave_balance = np.full(count, -1, dtype=np.float32)
        """0 (lines one way) to 1 (the other way), instead of quarters; negative for quarters."""
        self.weave_strength = np.ones(count, dtype=np.float32)
        self.veil = np.zeros(count, dtype=np.float32)
        """How much lighter one side is (negative: the other); 0 for none."""
        self.marks: list[Integers] = []
        """Columns of motifs, one per image."""
        self.mark_strengths: list[float] = []

    def add_lesion(self, motifs: Integers | int, strength: float) -> None:
        """Give every image a lesion of its motif, or none where it is ABSENT."""
        self.has_lesion = True
        self.lesion[:] = motifs
        self.lesion_strength[:] = strength

    def add_marks(self, motifs: Integers, strength: float) -> None:
        """Give every image one mark of its motif, or none where it is ABSENT."""
        self.marks.append(motifs)
        self.mark_strengths.append(strength)

    def rows(self, start: int, stop: int) -> Scene:
        """Return the scenes of consecutive images."""
        part = Scene(stop - start)
        for name, column in vars(self).items():
            if isinstance(column, np.ndarray):
                setattr(part, name, column[start:stop])
        part.marks = [column[start:stop] for column in self.marks]
        part.mark_strengths, part.has_lesion = self.mark_strengths, self.has_lesion
        return part
