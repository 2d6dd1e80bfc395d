"""What an image contains, independent of how its domain looks: a lesion, small marks, a weave."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["ABSENT", "Scene"]

Integers = NDArray[np.int64]
Floats = NDArray[np.float32]

ABSENT = -1
"""The motif of a place where nothing stands."""


@dataclass
class Scene:
    """The content of `count` images, filled in by the factors. Motifs are numbers of the
    vocabulary, or ABSENT.
    """

    count: int
    lesion: Integers = field(init=False)
    lesion_fill: Integers = field(init=False)
    lesion_size: Floats = field(init=False)
    """0 (small) to 1 (large); negative: any."""
    lesion_stretch: Floats = field(init=False)
    """0 (as it is) to 1 (drawn out to a third of its width)."""
    lesion_strength: Floats = field(init=False)
    weave: Integers = field(init=False)
    """Which direction and spacing; ABSENT for none."""
    weave_strength: Floats = field(init=False)
    veil: Floats = field(init=False)
    """How strong a wide, soft spot is; 0 for none."""
    marks: list[Integers] = field(default_factory=list)
    mark_strengths: list[float] = field(default_factory=list)
    has_lesion: bool = False

    def __post_init__(self) -> None:
        count = self.count
        self.lesion = np.full(count, ABSENT, dtype=np.int64)
        self.lesion_fill = np.zeros(count, dtype=np.int64)
        self.lesion_size = np.full(count, -1, dtype=np.float32)
        self.lesion_stretch = np.zeros(count, dtype=np.float32)
        self.lesion_strength = np.ones(count, dtype=np.float32)
        self.weave = np.full(count, ABSENT, dtype=np.int64)
        self.weave_strength = np.ones(count, dtype=np.float32)
        self.veil = np.zeros(count, dtype=np.float32)

    def add_marks(self, motifs: Integers, strength: float) -> None:
        """A column of marks: one motif, or ABSENT, for every image."""
        self.marks.append(motifs)
        self.mark_strengths.append(strength)

    def rows(self, start: int, stop: int) -> Scene:
        """The scenes of some consecutive images."""
        part = Scene(stop - start)
        lesion = ("lesion", "lesion_fill", "lesion_size", "lesion_stretch", "lesion_strength")
        for name in (*lesion, "weave", "weave_strength", "veil"):
            setattr(part, name, getattr(self, name)[start:stop])
        part.marks = [column[start:stop] for column in self.marks]
        part.mark_strengths, part.has_lesion = self.mark_strengths, self.has_lesion
        return part
