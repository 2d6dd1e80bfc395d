"""Ctrl-C and the request to terminate: `fit` finishes the step and writes a checkpoint first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

Result = TypeVar("Result")
_WATCHED = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """`number` is the signal that has come; 0: none."""

    def __init__(self) -> None:
        self.number = 0


@contextmanager
def watch_signals(wanted: bool) -> Iterator[Signals]:
    """Within the block the first signal is only noted; a second one interrupts at once.

    Without `wanted`, and outside the main thread, signals do what they always do.
    """
    signals = Signals()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before: dict[signal.Signals, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        if signals.number:
            obey(number, "training was interrupted in the middle of a step")
        signals.number = number

    try:
        for number in _WATCHED:
            before[number] = signal.signal(number, note)
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def obey(number: int, message: str) -> None:
    """Do what the signal asks for, as Python does."""
    if number == signal.SIGTERM:
        raise SystemExit(128 + number)
    raise KeyboardInterrupt(message)


def start_shielded(start: Callable[[], Result]) -> Result:
    """Call `start`, which may start processes: they never see Ctrl-C, training ends them itself."""
    if not hasattr(signal, "pthread_sigmask"):
        return start()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
