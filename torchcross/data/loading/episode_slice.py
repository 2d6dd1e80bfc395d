"""Some of many episodes: `episodes[10:20]`, and which numbers an index or a slice means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, final, overload

from torchcross._kit.argument_checks import is_integer
from torchcross.episode import Episode
from torchcross.errors import InputError


class _Episodes(Protocol):
    """Episodes by number, one or several at once."""

    def __getitem__(self, index: int, /) -> Episode: ...
    def __getitems__(self, indices: Sequence[int], /) -> list[Episode]: ...


@final
class EpisodeSlice(Sequence[Episode]):
    """A slice of `Episodes`: a sequence that reads an episode when it is used.

    `numbers` are the episodes' numbers. A slice of a slice is another one.

    >>> from torchcross.data import toys
    >>> episodes = tx.Episodes(tx.EpisodeSampler(toys.binary(100, size=8), shots=2, queries=3))
    >>> [episode.plan.index for episode in episodes[10:16:2]]
    [10, 12, 14]
    """

    def __init__(self, episodes: _Episodes, numbers: range) -> None:
        self.episodes = episodes
        self.numbers = numbers

    @overload
    def __getitem__(self, index: int) -> Episode: ...
    @overload
    def __getitem__(self, index: slice) -> EpisodeSlice: ...
    def __getitem__(self, index: int | slice) -> Episode | EpisodeSlice:
        if isinstance(index, slice):
            _check_bounds(index)
            return EpisodeSlice(self.episodes, self.numbers[index])
        return self.episodes[self.numbers[episode_number(index, len(self))]]

    def __getitems__(self, indices: Sequence[int]) -> list[Episode]:
        """What a DataLoader asks for: several in one go."""
        return self.episodes.__getitems__([self.numbers[index] for index in indices])

    def __len__(self) -> int:
        return len(self.numbers)

    def __repr__(self) -> str:
        return f"episodes {self.numbers!r} of {self.episodes!r}"


def episode_number(index: object, length: int | None) -> int:
    """The number of an episode, of `length` or without an end; a negative one counts from it."""
    if not is_integer(index):
        raise TypeError(
            f"an episode's index is an integer, not {index!r}; for several episodes, write"
            " episodes[0:10], or [episodes[i] for i in numbers]"
        )
    number = int(index)
    if length is None:
        if number < 0:
            raise IndexError(
                f"episode {number} counts from the end, and these episodes have none; give"
                " Episodes(sampler, count)"
            )
        return number
    if not -length <= number < length:
        raise IndexError(f"episode {number} is outside 0..{length - 1}")
    return number % length


def numbers_of_slice(item: slice, length: int | None) -> range:
    """The numbers that a slice means, of `length` episodes or without an end."""
    _check_bounds(item)
    if length is not None:
        return range(*item.indices(length))
    step = int(item.step or 1)
    # Backwards a slice begins at the last episode by default, and forwards it ends there.
    default = item.start if step < 0 else item.stop
    if default is None or any((bound or 0) < 0 for bound in (item.start, item.stop)):
        raise InputError(
            f"the slice {_as_text(item)} needs the last episode, and these episodes have no end;"
            " write episodes[0:10], or give Episodes(sampler, count)"
        )
    stop = -1 if item.stop is None else int(item.stop)
    return range(int(item.start or 0), stop, step)


def _check_bounds(item: slice) -> None:
    bounds = (item.start, item.stop, item.step)
    if any(not (bound is None or is_integer(bound)) for bound in bounds) or item.step == 0:
        raise InputError(
            f"a slice of episodes has integers and no step of 0, not {_as_text(item)};"
            " write episodes[0:10]"
        )


def _as_text(item: slice) -> str:
    shown = ["" if bound is None else repr(bound) for bound in (item.start, item.stop, item.step)]
    return f"[{':'.join(shown if shown[2] else shown[:2])}]"
