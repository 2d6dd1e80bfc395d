"""Processes for calls: started anew, for torch's threads do not survive a fork."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any, Final, NoReturn, final

_THREAD_SETTINGS: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
_ENVIRONMENT: Final = threading.Lock()
"""Held while this process has the environment of one that it starts."""

_ASK: Final = b"stop"
_LOOKS: Final = 40
_LOOK_SECONDS: Final = 0.05


def thread_settings(threads: int) -> dict[str, str]:
    """The environment of a process that computes with so many threads.

    Libraries count them when they are imported.
    """
    return dict.fromkeys(_THREAD_SETTINGS, str(threads))


@contextmanager
def environment_for_start(settings: Mapping[str, str]) -> Iterator[None]:
    """Give this process the settings that a process which it starts is to begin with.

    A new process imports the program of this one before anything else that it does.
    """
    with _ENVIRONMENT:
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


@final
class WorkerProcess:
    """One process of this machine, with so many threads, for one call after the other.

    Ctrl-C and the warnings of schedulers reach every process of a job. The process that started
    this one acts on them, and asks it to stop.
    """

    def __init__(self, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        receiver, self._sender = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(1, context, initializer=_prepare, initargs=(receiver,))
        with environment_for_start(thread_settings(threads)):
            self._number = self._pool.submit(os.getpid)
        self._receiver = receiver
        self._process: BaseProcess | None = None

    @property
    def number(self) -> int:
        """The number of the process, once it runs."""
        number = self._number.result()
        if self._process is None:
            children = {child.pid: child for child in multiprocessing.active_children()}
            self._process = children.get(number)
            # The process has this end now. Kept here, it would hide that the process is gone.
            self._receiver.close()
        return number

    def submit(self, call: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Start a call. The future raises BrokenProcessPool where the process ends before it."""
        return self._pool.submit(call, *args)

    def ask_to_stop(self) -> None:
        """Let the process know by `pipe_of_parent`; what it does about it is its own affair."""
        with suppress(OSError):
            self._sender.send_bytes(_ASK)

    def reason_of_end(self) -> str:
        """How the process ended, in words."""
        code = self._exit_code()
        if code is None:
            return "ended"
        if code >= 0:
            return f"ended with status {code}"
        with suppress(ValueError):
            return f"was ended by the signal {signal.Signals(-code).name}"
        return f"was ended by the signal {-code}"

    def _exit_code(self) -> int | None:
        """None where the system does not tell.

        A process closes its files before it has ended, and the pool may be the one to hear of it.
        """
        for _ in range(_LOOKS):
            if self._process is None or self._process.exitcode is not None:
                break
            self._process.join(_LOOK_SECONDS)
            threading.Event().wait(_LOOK_SECONDS)
        return None if self._process is None else self._process.exitcode

    def kill(self) -> None:
        with suppress(OSError):
            os.kill(self.number, getattr(signal, "SIGKILL", signal.SIGTERM))

    def close(self) -> None:
        """End the process, which has no call under way or was killed."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._sender.close()


_parent: Connection | None = None


def pipe_of_parent() -> Connection | None:
    """In a worker process: a pipe that brings a request to stop, or ends where its parent did."""
    return _parent


def _prepare(receiver: Connection) -> None:
    global _parent
    _parent = receiver
    for name in ("SIGINT", "SIGHUP", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave)


def leave(number: int, frame: FrameType | None) -> NoReturn:
    """End this process by a signal, with the status that shells give it."""
    raise SystemExit(128 + number)
