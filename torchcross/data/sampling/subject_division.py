"""Dividing subjects between support and query: a subject's samples all stand on one side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import Indices
from torchcross._kit.randomness import Words


def divide(sizes: Sequence[int], first: int, second: int) -> list[bool] | None:
    """Which subjects make up the first side; `sizes` are the samples that each of them owns.

    The first side owns at least `first` samples, the others at least `second`. None where there is
    no such division.

    Exact: it finds the smallest first side. That is either one subject with `first` samples or
    more, or subjects with fewer, whose sums below 2 x first are the bits of an integer. Among
    equals, earlier subjects win.
    """
    if first <= 0:
        return [False] * len(sizes) if sum(sizes) >= second else None
    alone = min((size for size in sizes if size >= first), default=None)
    together = _small_sum([size if size < first else 0 for size in sizes], first)
    if together is not None and (alone is None or together[0] <= alone):
        total, chosen = together
    elif alone is not None:
        total, place = alone, list(sizes).index(alone)
        chosen = [position == place for position in range(len(sizes))]
    else:
        return None
    return chosen if sum(sizes) - total >= second else None


def _small_sum(sizes: Sequence[int], least: int) -> tuple[int, list[bool]] | None:
    """The smallest sum of some of these numbers that reaches `least`, and which numbers make it.

    All numbers are below `least`.
    """
    reached, wanted, limit = [1], 1 << least, (1 << 2 * least) - 1
    for size in sizes:
        reached.append((reached[-1] | reached[-1] << size) & limit)
        if reached[-1] & wanted:
            break
    enough = reached[-1] >> least
    if not enough:
        return None
    total = rest = least + (enough & -enough).bit_length() - 1
    chosen = [False] * len(sizes)
    for position in range(len(reached) - 2, -1, -1):
        if not reached[position] >> rest & 1:
            chosen[position] = True
            rest -= sizes[position]
    return total, chosen


def can_divide(sizes: Indices, first: int, second: int) -> bool:
    """Whether `divide` finds a way. Mostly two sums decide."""
    total, largest = int(sizes.sum()), int(sizes.max(initial=0))
    if total < first + second or total - largest < min(first, second):
        return False
    return (
        total >= first + second + largest - 1 or divide(sizes.tolist(), first, second) is not None
    )


def choose_support_subjects(words: Words, owned: Indices, need: int) -> NDArray[np.bool_] | None:
    """Random subjects for the support: as few as own `need` samples of every stratum.

    `owned[subject, stratum]` samples belong to each. None where all subjects together own too few.
    """
    order = np.argsort(words.bulk(len(owned)), kind="stable")
    in_support, lacking = np.zeros(len(owned), dtype=bool), np.full(owned.shape[1], need)
    for subject in order[owned[order].any(axis=1)]:
        wanted = lacking > 0
        if not wanted.any():
            break
        if owned[subject][wanted].any():
            in_support[subject] = True
            lacking -= owned[subject]
    return None if (lacking > 0).any() else in_support
