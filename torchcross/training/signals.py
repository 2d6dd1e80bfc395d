"""Ctrl-C and the request to terminate: the step is finished and a checkpoint written before they
are followed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

__all__ = ["Request", "obey", "shielded", "watched"]

Result = TypeVar("Result")
_WATCHED = (signal.SIGINT, signal.SIGTERM)


class Request:
    """Which signal has come, if any."""

    def __init__(self) -> None:
        self.number = 0


@contextmanager
def watched(wanted: bool) -> Iterator[Request]:
    """Within the block the first signal is only noted; a second one interrupts at once.

    Signals are the main thread's: elsewhere, or where not wanted, they do what they always do.
    """
    request = Request()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield request
        return
    before: dict[signal.Signals, Any] = {}

    def note(number: int, frame: FrameType | None) -> None:
        if request.number:
            obey(number, "training was interrupted in the middle of a step")
        request.number = number

    try:
        for number in _WATCHED:
            before[number] = signal.signal(number, note)
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def obey(number: int, message: str) -> None:
    """Do what the signal asks for, as Python would have done."""
    if number == signal.SIGTERM:
        raise SystemExit(128 + number)
    raise KeyboardInterrupt(message)


def shielded(start: Callable[[], Result]) -> Result:
    """Run `start` so that processes begun by it never see Ctrl-C: whoever trains decides when they
    end.
    """
    if not hasattr(signal, "pthread_sigmask"):
        return start()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
