"""How a process of a job sees time and other processes. A simulation sees them in its own way."""

from __future__ import annotations

import threading
import time  # noqa: TID251 (each process counts its own seconds; none are compared)
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from queue import Empty, SimpleQueue
from typing import Final, TypeVar, final

from torchcross.jobs.processes import ProcessIdentity, is_running, this_process

T = TypeVar("T")


class Observer(ABC):
    """Who a process is, what it knows of others, and its own seconds."""

    @abstractmethod
    def identity(self) -> ProcessIdentity:
        """The process itself, as others are to know it."""

    @abstractmethod
    def is_running(self, owner: ProcessIdentity) -> bool | None:
        """Whether a process still runs; None where this one cannot know."""

    @abstractmethod
    def now(self) -> float:
        """Seconds on a clock that goes forward. They mean nothing to other processes."""

    @abstractmethod
    def collect(self, inbox: SimpleQueue[T], seconds: float) -> list[T]:
        """All that has come; where nothing has, wait so long for the first."""

    @abstractmethod
    def repeat(self, action: Callable[[], object], seconds: float) -> AbstractContextManager[None]:
        """A block during which the action is done every so many seconds."""


@final
class ThisProcess(Observer):
    """The process that runs, with the system's clock."""

    def identity(self) -> ProcessIdentity:
        return this_process()

    def is_running(self, owner: ProcessIdentity) -> bool | None:
        return is_running(owner)

    def now(self) -> float:
        return time.monotonic()

    def collect(self, inbox: SimpleQueue[T], seconds: float) -> list[T]:
        items = []
        try:
            items.append(inbox.get(timeout=seconds))
            while True:
                items.append(inbox.get_nowait())
        except Empty:
            return items

    @contextmanager
    def repeat(self, action: Callable[[], object], seconds: float) -> Iterator[None]:
        stop = threading.Event()

        def work() -> None:
            while not stop.wait(seconds):
                action()

        thread = threading.Thread(target=work, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


THIS_PROCESS: Final = ThisProcess()
