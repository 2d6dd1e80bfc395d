"""Processes of this machine: started anew, for torch's threads do not survive a fork."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time  # noqa: TID251 (a clock that only waits: no result depends on it)
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, final

from torchcross._kit.process_memory import available_bytes
from torchcross._kit.worker_processes import environment_for_start, leave, thread_settings
from torchcross.errors import InputError
from torchcross.jobs.engines.devices import gpu_settings, gpus_for, visible_gpus
from torchcross.jobs.engines.engine import JobEngine, WorkerEnded
from torchcross.jobs.units import Resources

_STARTS: Final = 10
"""So many workers may be killed in a row before they begin; then it is no accident."""

_LEAVE_TIME: Final = 5.0
"""Seconds in which a worker whose coordinator died must end."""


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
    gpus: tuple[str, ...] = ()
    future: Future[Any] | None = None
    resources: Resources = field(default_factory=Resources)

    @property
    def is_busy(self) -> bool:
        return self.future is not None and not self.future.done()


@final
class LocalEngine(JobEngine):
    """At most `jobs` processes, as many threads in all as `cores`, and no more than the memory.

    A unit that alone takes more cores or memory than the machine has runs by itself. A unit that
    states GPUs, or a share of one, sees those alone; by default they are all that this process
    sees. `gpus` names others, as CUDA_VISIBLE_DEVICES does.
    """

    is_here = True

    def __init__(
        self,
        jobs: int | None = None,
        cores: int | None = None,
        memory: int | None = None,
        gpus: Sequence[str | int] | None = None,
    ) -> None:
        self._cores = usable_cores() if cores is None else cores
        self._jobs = self._cores if jobs is None else jobs
        if self._jobs < 1 or self._cores < 1:
            raise InputError(
                f"jobs = {self._jobs} on {self._cores} cores runs nothing; give 1 or more of both"
            )
        # None where the system does not say what is free.
        self._memory = available_bytes() if memory is None else memory
        self._gpus = None if gpus is None else tuple(map(str, gpus))
        self._workers: list[_Worker] = []

    def has_room(self, resources: Resources) -> bool:
        busy = [worker.resources for worker in self._workers if worker.is_busy]
        if not busy:
            return True
        cores = resources.cores + sum(each.cores for each in busy)
        memory = resources.memory + sum(each.memory for each in busy)
        fits = self._memory is None or memory <= self._memory
        fits = fits and self._free_gpus(resources.gpus) is not None
        return len(busy) < self._jobs and cores <= self._cores and fits

    def submit(self, call: Callable[..., Any], /, *args: Any, resources: Resources) -> Future[Any]:
        gpus = self._free_gpus(resources.gpus)
        if gpus is None:
            raise InputError(
                f"a unit wants {resources.gpus:g} GPUs and this machine has {len(self._gpus or ())}"
                " to give; let it take fewer, or run the job by an engine that has them"
            )
        worker, inner = self._start(min(resources.cores, self._cores), gpus, call, args)
        worker.future, worker.resources = inner, resources
        if resources.gpus >= 1:
            self._free_memory_of(gpus)
        outer: Future[Any] = Future()
        # Else `Executor.shutdown` and waiting callers take it for one that can be cancelled.
        outer.set_running_or_notify_cancel()
        inner.add_done_callback(lambda done: self._pass_on(worker, done, outer))
        return outer

    def _free_gpus(self, wanted: float) -> tuple[str, ...] | None:
        """The GPUs that a unit would get now."""
        if not wanted:
            return ()
        if self._gpus is None:
            self._gpus = visible_gpus()
        used = dict.fromkeys(self._gpus, 0.0)
        for worker in self._workers:
            for gpu in worker.gpus if worker.is_busy else ():
                used[gpu] += min(1.0, worker.resources.gpus)
        return gpus_for(wanted, self._gpus, used)

    def _start(
        self,
        cores: int,
        gpus: tuple[str, ...],
        call: Callable[..., Any],
        args: tuple[Any, ...],
    ) -> tuple[_Worker, Future[Any]]:
        for _ in range(_STARTS):
            try:
                worker = self._idle_worker(cores, gpus)
            except BrokenProcessPool:
                # It was killed while it started.
                continue
            try:
                return worker, worker.pool.submit(call, *args)
            except BrokenProcessPool:
                # It was killed while it had nothing to do.
                self._remove(worker)
        raise InputError(
            f"{_STARTS} worker processes in a row ended before they could begin; the system's log"
            " may say why. Perhaps there is too little memory: give fewer jobs"
        )

    def shutdown(self, *, cancel: bool = False) -> None:
        for worker in self._workers:
            if cancel:
                _end(worker)
            worker.pool.shutdown(wait=True, cancel_futures=cancel)
        self._workers = []

    def _idle_worker(self, cores: int, gpus: tuple[str, ...]) -> _Worker:
        for worker in self._workers:
            if not worker.is_busy and (worker.cores, worker.gpus) == (cores, gpus):
                return worker
        self._free_memory_of(gpus)
        # Processes with another number of threads go before there are more than `jobs`.
        for worker in [each for each in self._workers if not each.is_busy]:
            if len(self._workers) >= self._jobs:
                self._remove(worker)
        worker = _start_worker(cores, gpus)
        self._workers = [*self._workers, worker]
        return worker

    def _free_memory_of(self, gpus: tuple[str, ...]) -> None:
        """End idle processes: each keeps memory of the GPU that it has used."""
        for worker in [each for each in self._workers if not each.is_busy]:
            if set(worker.gpus) & set(gpus):
                self._remove(worker)

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


def _start_worker(cores: int, gpus: tuple[str, ...]) -> _Worker:
    pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=_prepare)
    with environment_for_start({**thread_settings(cores), **gpu_settings(gpus)}):
        # The process begins here. It imports the program of this one before it calls `_prepare`.
        process = pool.submit(os.getpid)
    return _Worker(pool, process.result(), cores, gpus)


def _prepare() -> None:
    """In a new worker.

    Ctrl-C reaches every process of a terminal. The coordinator alone acts on it, and asks its
    workers to stop by SIGTERM.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, leave)
    threading.Thread(target=_end_with_parent, name="end with the coordinator", daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose coordinator was killed would wait for calls for ever, and keep its memory."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LEAVE_TIME)
    os._exit(1)


def _end(worker: _Worker) -> None:
    if worker.is_busy:
        with suppress(OSError):
            os.kill(worker.process, signal.SIGTERM)
