"""Randomness as an argument: raw words of a counter-based generator, integers and shuffles of them.

Philox-4x64-10 (Salmon et al. 2011) turns (key, counter) into four 64-bit words. numpy promises that
bit stream for ever, but not what its `Generator` methods make of it, so bounded integers and
shuffles are defined here.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_BLOCK = 4
_CHUNK = 128
_FEW = 128
_WINDOW_LANE, _ATTEMPT_LANE, _SEQUENCE_LANE = 0, 1, 2
_SHIFT, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_PRIVATE = threading.local()


class Stream:
    """A family of random words. Equal seeds and names give equal words on every machine."""

    __slots__ = ("_key", "_name")

    def __init__(self, seed: int, *name: object) -> None:
        self._name = (seed, *name)
        text = json.dumps(self._name, separators=(",", ":"))
        digest = hashlib.blake2b(text.encode(), digest_size=16, person=b"torchcross-words").digest()
        self._key = (int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little"))

    def substream(self, *more: object) -> Stream:
        """A family of its own, named after this one."""
        return Stream(*self._name, *more)  # type: ignore[arg-type]  # the first part of a name is its seed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def window(self, start: int, count: int) -> NDArray[np.uint64]:
        """`count` words from block `start` on (four words a block) of one endless row."""
        return _philox(self._key, (start & (2**64 - 1), start >> 64, 0, _WINDOW_LANE), count)

    def sequence(self, index: int, count: int) -> NDArray[np.uint64]:
        """The first `count` words that belong to `index`, for use in bulk."""
        return _philox(self._key, (0, index, 0, _SEQUENCE_LANE), count)

    def words(self, index: int, attempt: int = 0) -> Words:
        """Endless words that belong to (index, attempt) alone."""
        return Words(self._key, index, attempt)


class Words:
    """The words of one (index, attempt), taken one after the other or in bulk."""

    __slots__ = ("_block", "_buffer", "_counter", "_key")

    def __init__(self, key: tuple[int, int], index: int, attempt: int) -> None:
        self._key = key
        self._counter = (index, attempt)
        self._block = 0
        self._buffer: list[int] = []

    def bulk(self, count: int) -> NDArray[np.uint64]:
        """The next `count` words at once, from a fresh block on."""
        words = _philox(self._key, (self._block, *self._counter, _ATTEMPT_LANE), count)
        self._block += -(-count // _BLOCK)
        return words

    def take(self) -> int:
        """The next word."""
        if not self._buffer:
            self._buffer = self.bulk(_CHUNK)[::-1].tolist()
        return self._buffer.pop()

    def below(self, bound: int) -> int:
        """The next word as an integer in [0, bound)."""
        return (self.take() * bound) >> 64


def _philox(
    key: tuple[int, int], counter: tuple[int, int, int, int], count: int
) -> NDArray[np.uint64]:
    """Raw words of a counter and a key."""
    # Each thread keeps one generator, and sets its whole state before every use.
    generator = getattr(_PRIVATE, "generator", None)
    if generator is None:
        generator = _PRIVATE.generator = np.random.Philox(key=0)
        _PRIVATE.state = generator.state
        _PRIVATE.state["buffer_pos"] = _BLOCK
    state = _PRIVATE.state
    state["state"]["key"] = key
    state["state"]["counter"] = counter
    generator.state = state
    words: NDArray[np.uint64] = generator.random_raw(count)
    return words


def below(word: int, bound: int) -> int:
    """A word as an integer in [0, bound): the high half of word x bound, uniform to 2^-64."""
    return (word * bound) >> 64


def below_array(words: NDArray[np.uint64], bounds: NDArray[np.uint64]) -> NDArray[np.int64]:
    """`below`, elementwise, for bounds under 2^32."""
    high = (words >> _SHIFT) * bounds
    high += ((words & _LOW) * bounds) >> _SHIFT
    high >>= _SHIFT
    return high.view(np.int64)


def unit_numbers(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Words as numbers in [0, 1): their upper 53 bits, so exact, and never 1."""
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def distinct(words: Sequence[int], population: int) -> list[int]:
    """One number per word, all different, in [0, population)."""
    # The first steps of a Fisher-Yates shuffle; without a place picked twice, nothing was swapped.
    picks = [step + ((word * (population - step)) >> 64) for step, word in enumerate(words)]
    return picks if len(set(picks)) == len(picks) else _follow_swaps(picks)


def _follow_swaps(picks: list[int]) -> list[int]:
    """The number at each picked place, after the swaps of earlier steps."""
    moved: dict[int, int] = {}
    numbers = []
    for step, pick in enumerate(picks):
        numbers.append(moved.get(pick, pick))
        moved[pick] = moved.get(step, step)
    return numbers


def distinct_rows(words: NDArray[np.uint64], populations: NDArray[np.int64]) -> NDArray[np.int64]:
    """`distinct` for every row of words, each row with a population of its own."""
    steps = np.arange(words.shape[1])
    picks = below_array(words, (populations[:, None] - steps).astype(np.uint64)) + steps
    if populations.max(initial=0) <= _FEW:
        return _swap_rows(picks, int(populations.max(initial=0)))
    in_order = np.sort(picks, axis=1)
    for row in np.flatnonzero((in_order[:, 1:] == in_order[:, :-1]).any(axis=1)):
        picks[row] = _follow_swaps(picks[row].tolist())
    return picks


def _swap_rows(picks: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """`_follow_swaps` for many rows over few places: one step for all rows at a time."""
    table = np.tile(np.arange(most), (len(picks), 1))
    rows, numbers = np.arange(len(picks)), np.empty_like(picks)
    for step, pick in enumerate(picks.T):
        numbers[:, step] = table[rows, pick]
        table[rows, pick] = table[:, step]
    return numbers


def permutation(stream: Stream, index: int, length: int) -> NDArray[np.int64]:
    """A permutation of range(length) that belongs to `index`: the order of random words."""
    return np.argsort(stream.sequence(index, length), kind="stable")
