"""Drawing without replacement, one sample at a time, from lists that are never copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.randomness import Words

Used = NDArray[np.bool_] | None


class Deck:
    """A shuffled deck over one or several lists of samples, shuffled only as far as it is drawn."""

    __slots__ = ("_lists", "_moved", "_next", "_used", "_words", "size")

    def __init__(self, words: Words, used: Used, *lists: NDArray[Any]) -> None:
        self._words = words
        self._used = used
        self._lists = lists
        self._moved: dict[int, int] = {}
        self._next = 0
        self.size = sum(map(len, lists))

    def draw(self) -> int | None:
        """The next sample, or None when all are drawn."""
        card = self.draw_with_list()
        return None if card is None else card[0]

    def draw_with_list(self) -> tuple[int, int] | None:
        """The next sample that is not used up, and its list; None when all are drawn."""
        while (card := self._next_card()) is not None:
            if self._used is None or not self._used[card[0]]:
                return card
        return None

    def _next_card(self) -> tuple[int, int] | None:
        step = self._next
        if step == self.size:
            return None
        self._next = step + 1
        moved = self._moved
        pick = step + self._words.below(self.size - step)
        place = moved.get(pick, pick)
        at_step = moved.pop(step, step)
        if pick != step:
            moved[pick] = at_step
        for number, members in enumerate(self._lists):
            if place < len(members):
                return int(members[place]), number
            place -= len(members)
        raise AssertionError("the places of a deck are those of its lists")


def choose(words: Words, items: Sequence[int], count: int) -> tuple[int, ...]:
    """`count` different items, ascending."""
    if count == len(items):
        return tuple(items)
    return tuple(sorted(items[place] for place in any_order(words, len(items))[:count]))


def any_order(words: Words, count: int) -> list[int]:
    """A shuffle of range(count)."""
    order = list(range(count))
    for step in range(count - 1):
        pick = step + words.below(count - step)
        order[step], order[pick] = order[pick], order[step]
    return order
