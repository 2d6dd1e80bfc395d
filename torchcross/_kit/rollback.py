"""Additions that are taken back where the code that makes them fails half-way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_UNDO: list[list[Callable[[], object]]] = []


def undo_on_failure(undo: Callable[[], object]) -> None:
    """Say how to take back what was just added, if the code under way fails after all."""
    if _UNDO:
        _UNDO[-1].append(undo)


@contextmanager
def all_or_nothing() -> Iterator[None]:
    """Where the block fails, whatever it added is taken back, the last addition first."""
    steps: list[Callable[[], object]] = []
    _UNDO.append(steps)
    try:
        yield
    except BaseException:
        for undo in reversed(steps):
            undo()
        raise
    finally:
        _UNDO.pop()
