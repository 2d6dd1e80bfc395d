"""A fraction of a source: of each class, in whole subjects, a smaller one inside a larger one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.argument_checks import checked_number
from torchcross._kit.arrays import Indices
from torchcross._kit.randomness import Stream, permutation
from torchcross.data.sources.source import TaskSource
from torchcross.errors import InfeasibleError, InputError


@final
@dataclass(frozen=True, eq=False)
class Fraction:
    """Samples of a source, ascending, and what became of each class.

    wanted  by class, its samples times the fraction
    drawn   by class, how many of its samples there are: whole subjects cannot hit it exactly
    """

    indices: Indices
    wanted: Mapping[str, float]
    drawn: Mapping[str, int]

    @property
    def deviation(self) -> float:
        """The largest difference of drawn and wanted samples of a class."""
        return max(abs(self.drawn[name] - self.wanted[name]) for name in self.wanted)


def class_fraction(source: TaskSource, fraction: float, *, seed: int = 0) -> Fraction:
    """Draw a fraction of each class, subjects whole.

    Subjects with the same labels form a group, of which the fraction is drawn. A smaller fraction
    is part of a larger one of the same seed. Refused where a class gets no sample.

    >>> from torchcross.data import class_fraction, toys
    >>> len(class_fraction(toys.binary(100, size=8), 0.5).indices)
    50
    """
    fraction = checked_number("fraction", fraction, above=0)
    if fraction > 1:
        raise InputError(f"fraction={fraction:g} is more than all samples; give one from 0 to 1")
    subjects = np.arange(len(source)) if source.groups is None else source.groups
    places = _places(source, subjects, seed)
    indices = np.flatnonzero(places < fraction)
    wanted = {name: count * fraction for name, count in source.counts().items()}
    if not len(indices):
        raise InfeasibleError(f"{fraction:g} of {len(source)} samples is none; give more")
    drawn = source.subset(indices).counts()
    if lost := [name for name, count in source.counts().items() if count and not drawn[name]]:
        raise InfeasibleError(
            f"{fraction:g} of source {source.name!r} has no sample of {lost}; give a larger"
            " fraction or another seed"
        )
    return Fraction(indices, wanted, drawn)


def _places(source: TaskSource, subjects: Indices, seed: int) -> NDArray[np.float64]:
    """For each sample where its subject stands in its group, in [0, 1): evenly spread."""
    rows = source.labels.reshape(len(source), -1)
    order = np.lexsort((*rows.T, subjects))
    names, starts = np.unique(subjects[order], return_index=True)
    groups: dict[bytes, list[int]] = {}
    for number, members in enumerate(np.split(order, starts[1:])):
        groups.setdefault(rows[members].tobytes(), []).append(number)
    place_of = np.empty(len(names))
    stream = Stream(seed, "fraction", source.name)
    for number, signature in enumerate(sorted(groups)):
        group = np.array(groups[signature])
        words = permutation(stream, number, len(group))
        offset = stream.substream("offset").words(number).take() / 2**64
        place_of[group] = (words + offset) / len(group)
    # Rounding must not leave the last subject out of the whole.
    places: NDArray[np.float64] = np.minimum(place_of, math.nextafter(1.0, 0.0))
    return places[np.searchsorted(names, subjects)]
