"""Processes of this machine: started anew, for torch's threads do not survive a fork."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final, NoReturn, final

from torchcross._kit.process_memory import available_bytes
from torchcross.errors import InputError
from torchcross.jobs.engines.engine import JobEngine, WorkerEnded
from torchcross.jobs.units import Resources

_THREAD_SETTINGS: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def usable_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass
class _Worker:
    """One process, and the call that it runs. A death takes no other call with it."""

    pool: ProcessPoolExecutor
    process: int
    cores: int
    future: Future[Any] | None = None
    resources: Resources = field(default_factory=Resources)

    @property
    def is_busy(self) -> bool:
        return self.future is not None and not self.future.done()


@final
class LocalEngine(JobEngine):
    """At most `jobs` processes, as many threads in all as `cores`, and no more than the memory.

    A unit that alone takes more than the machine has runs by itself.
    """

    def __init__(
        self, jobs: int | None = None, cores: int | None = None, memory: int | None = None
    ) -> None:
        self._cores = usable_cores() if cores is None else cores
        self._jobs = self._cores if jobs is None else jobs
        if self._jobs < 1 or self._cores < 1:
            raise InputError(
                f"jobs = {self._jobs} on {self._cores} cores runs nothing; give 1 or more of both"
            )
        # None where the system does not say what is free.
        self._memory = available_bytes() if memory is None else memory
        self._workers: list[_Worker] = []

    def has_room(self, resources: Resources) -> bool:
        busy = [worker.resources for worker in self._workers if worker.is_busy]
        if not busy:
            return True
        cores = resources.cores + sum(each.cores for each in busy)
        memory = resources.memory + sum(each.memory for each in busy)
        fits = self._memory is None or memory <= self._memory
        return len(busy) < self._jobs and cores <= self._cores and fits

    def submit(self, call: Callable[..., Any], /, *args: Any, resources: Resources) -> Future[Any]:
        worker, inner = self._start(min(resources.cores, self._cores), call, args)
        worker.future, worker.resources = inner, resources
        outer: Future[Any] = Future()
        # Else `Executor.shutdown` and waiting callers take it for one that can be cancelled.
        outer.set_running_or_notify_cancel()
        inner.add_done_callback(lambda done: self._pass_on(worker, done, outer))
        return outer

    def _start(
        self, cores: int, call: Callable[..., Any], args: tuple[Any, ...]
    ) -> tuple[_Worker, Future[Any]]:
        while True:
            worker = self._idle_worker(cores)
            try:
                return worker, worker.pool.submit(call, *args)
            except BrokenProcessPool:
                # It was killed while it had nothing to do.
                self._remove(worker)

    def shutdown(self, *, cancel: bool = False) -> None:
        for worker in self._workers:
            if cancel:
                _end(worker)
            worker.pool.shutdown(wait=True, cancel_futures=cancel)
        self._workers = []

    def _idle_worker(self, cores: int) -> _Worker:
        for worker in self._workers:
            if not worker.is_busy and worker.cores == cores:
                return worker
        # Processes with another number of threads go before there are more than `jobs`.
        for worker in [each for each in self._workers if not each.is_busy]:
            if len(self._workers) >= self._jobs:
                self._remove(worker)
        worker = _start_worker(cores)
        self._workers = [*self._workers, worker]
        return worker

    def _remove(self, worker: _Worker) -> None:
        # A new list: another thread may be walking over the old one.
        self._workers = [each for each in self._workers if each is not worker]
        worker.pool.shutdown(wait=False)

    def _pass_on(self, worker: _Worker, inner: Future[Any], outer: Future[Any]) -> None:
        """Give the caller's future what the process gave, or that the process is gone."""
        error = inner.exception() if not inner.cancelled() else WorkerEnded(worker.process)
        if isinstance(error, BrokenProcessPool):
            error = WorkerEnded(worker.process)
            self._remove(worker)
        elif isinstance(error, SystemExit | KeyboardInterrupt):
            # The process was asked to stop, and not by us: its call is to be made again.
            error = WorkerEnded(worker.process)
        if error is None:
            outer.set_result(inner.result())
        else:
            outer.set_exception(error)


def _start_worker(cores: int) -> _Worker:
    pool = ProcessPoolExecutor(
        1, multiprocessing.get_context("spawn"), initializer=_prepare, initargs=(cores,)
    )
    return _Worker(pool, pool.submit(os.getpid).result(), cores)


def _prepare(cores: int) -> None:
    """In a new worker, before anything counts threads when it is imported.

    Ctrl-C reaches every process of a terminal. The coordinator alone acts on it, and asks its
    workers to stop by SIGTERM.
    """
    for name in _THREAD_SETTINGS:
        os.environ[name] = str(cores)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _end(worker: _Worker) -> None:
    if worker.is_busy:
        with suppress(OSError):
            os.kill(worker.process, signal.SIGTERM)
