"""Ctrl-C and requests to stop: `fit` finishes the step and writes a checkpoint first.

SIGINT asks to interrupt; SIGTERM, SIGHUP (the terminal is closed) and SIGUSR1 (a scheduler warns
that the time is almost over) ask to stop. A signal that is ignored stays so.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn, TypeVar

Result = TypeVar("Result")
Item = TypeVar("Item")

_REQUESTS = tuple(
    number for name in ("SIGTERM", "SIGHUP", "SIGUSR1") if (number := getattr(signal, name, None))
)
_WATCHED = (signal.SIGINT, *_REQUESTS)
_END = object()


class ReadingStopped(BaseException):
    """A signal came while the training waited for an item: no step is in the middle."""


class _Request:
    """What the process that launched this one asks for; 0: nothing."""

    number = 0


_request = _Request()


def request_stop() -> None:
    """Let the training of this process stop after its step, as SIGTERM does.

    Beside a signal, which the scheduler may send to all processes, it is not a second one.
    """
    _request.number = signal.SIGTERM


class Signals:
    """`number` is the signal that has come, or was asked for; 0: none."""

    def __init__(self) -> None:
        self._noted = 0
        self._process = os.getpid()
        self._is_reading = False

    @property
    def number(self) -> int:
        return self._noted or _request.number

    def note(self, number: int, frame: FrameType | None) -> None:
        """The handler: a first signal is noted, a second one interrupts at once."""
        if os.getpid() != self._process:
            _act_in_child(number)
            return
        if self._noted:
            obey(number, "training was interrupted in the middle of a step")
        self._noted = number
        if self._is_reading:
            raise ReadingStopped

    def stop_reading(self, items: Iterator[Item]) -> Iterator[Item]:
        """The same items; a signal that comes while one is awaited raises ReadingStopped.

        A read may hang for ever, and a first one takes long.
        """
        while True:
            self._is_reading = True
            try:
                if self.number:
                    raise ReadingStopped
                item: Any = next(items, _END)
            finally:
                self._is_reading = False
            if item is _END:
                return
            yield item


def _act_in_child(number: int) -> None:
    """A process that training forked: it ends when it is told to, and with training."""
    if number == signal.SIGTERM:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


@contextmanager
def watch_signals(wanted: bool) -> Iterator[Signals]:
    """Within the block the first signal is only noted; a second one interrupts at once.

    Without `wanted`, and outside the main thread, signals do what they always do. So do those that
    are ignored, and SIGHUP and SIGUSR1 where the caller has a handler.
    """
    signals = Signals()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield signals
        return
    before: dict[int, Any] = {}
    try:
        for number in _WATCHED:
            if _may_watch(number):
                before[number] = signal.signal(number, signals.note)
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _may_watch(number: int) -> bool:
    handler = signal.getsignal(number)
    if handler is None or handler is signal.SIG_IGN:
        return False
    is_ours_to_take = number in (signal.SIGINT, signal.SIGTERM)
    return is_ours_to_take or handler in (signal.SIG_DFL, _leave)


@contextmanager
def leave_when_asked() -> Iterator[None]:
    """A request to stop leaves the block as Ctrl-C does: no file is left half written.

    This holds in the main thread only, and for signals that have no handler yet.
    """
    before: list[int] = []
    if threading.current_thread() is threading.main_thread():
        before = [number for number in _REQUESTS if signal.getsignal(number) is signal.SIG_DFL]
    for number in before:
        signal.signal(number, _leave)
    try:
        yield
    finally:
        for number in before:
            signal.signal(number, signal.SIG_DFL)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def obey(number: int, message: str) -> NoReturn:
    """Do what the signal asks for, as Python does."""
    if number != signal.SIGINT:
        raise SystemExit(128 + number)
    raise KeyboardInterrupt(message)


def start_shielded(start: Callable[[], Result]) -> Result:
    """Call `start`, which may start processes: they see no signal that is sent to the whole group.

    Training ends them itself, by SIGTERM.
    """
    if not hasattr(signal, "pthread_sigmask"):
        return start()
    group = {number for number in _WATCHED if number != signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, group)
    try:
        return start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
