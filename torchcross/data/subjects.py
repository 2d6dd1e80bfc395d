"""Dividing subjects between support and query: a subject's samples all stand on one side."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["can_divide", "divide", "gather"]


def divide(sizes: Sequence[int], first: int, second: int) -> list[bool] | None:
    """Which subjects, owning so many samples each, make up a first side of at least `first` samples such that the
    others own at least `second`; None where there is no such division.

    Exact: finds a first side as small as can be. That is either one subject with `first` samples or more, or subjects
    with fewer, whose sums below 2 x first are kept as the bits of an integer. Among equals, earlier subjects are taken.
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
    """The smallest sum of some of these numbers below `least` that reaches `least`, and which numbers make it."""
    reached, wanted, limit = [1], 1 << least, (1 << 2 * least) - 1
    for size in sizes:
        reached.append((reached[-1] | reached[-1] << size) & limit)
        if reached[-1] & wanted:
            break
    enough = reached[-1] >> least
    if not enough:
        return None
    total = left = least + (enough & -enough).bit_length() - 1
    chosen = [False] * len(sizes)
    for position in range(len(reached) - 2, -1, -1):
        if not reached[position] >> left & 1:
            chosen[position] = True
            left -= sizes[position]
    return total, chosen


def can_divide(sizes: Sequence[int], first: int, second: int) -> bool:
    """Whether `divide` finds a way. Mostly two sums decide."""
    total, largest = sum(sizes), max(sizes, default=0)
    if total < first + second or total - largest < min(first, second):
        return False
    return total >= first + second + largest - 1 or divide(sizes, first, second) is not None


def gather(samples: NDArray[np.int64], order: Sequence[int], need: int) -> list[int] | None:
    """Subjects, taken in this order, that own `need` samples of every stratum; None where all of them own too few.

    `samples[s, c]` counts what subject s owns of stratum c. Who adds nothing that is still needed is passed over.
    """
    lacking = np.full(samples.shape[1], need)
    taken = []
    for subject in order:
        if not (lacking > 0).any():
            break
        if (samples[subject][lacking > 0] > 0).any():
            lacking -= samples[subject]
            taken.append(subject)
    return None if (lacking > 0).any() else taken
