"""From units to results: hand out what can begin, and see what others have done."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final
from zlib import crc32

from torchcross.jobs.claims import LEASE, ClaimRecord
from torchcross.jobs.engines import JobEngine, WorkerEnded
from torchcross.jobs.failures import UnitFailure
from torchcross.jobs.folder import JobFolder
from torchcross.jobs.observer import THIS_PROCESS, Observer
from torchcross.jobs.units import Job, UnitGraph
from torchcross.jobs.work import Outcome, UnitReport, make_unit

Notice = Callable[[str, UnitReport], object]

_LOOK_AROUND: Final = 1.0
"""Seconds between two looks at what other processes of the same job have done."""

_LOOK_BEFORE_CALLS: Final = 0.1
"""The same, before new units are handed out."""


@dataclass(frozen=True)
class JobResult:
    """What became of the units.

    done       how many are done, by whomever
    failures   what failed since this call began
    waiting    units that need a failed one
    stopped    whether units are left because of an interruption
    message    the words of the interruption
    """

    units: int
    done: int
    failures: tuple[UnitFailure, ...]
    waiting: tuple[str, ...]
    stopped: bool = False
    message: str = ""

    @property
    def is_complete(self) -> bool:
        return self.done == self.units


def run_job(
    job: Job,
    path: str | Path,
    engine: JobEngine,
    *,
    lease: float = LEASE,
    notice: Notice | None = None,
    observer: Observer = THIS_PROCESS,
) -> JobResult:
    """Make all units of a job that are not done; other processes may do the same meanwhile.

    Units that failed in earlier calls are tried again. `notice` hears of each unit that this call
    finished, that failed, or that another process finished meanwhile (ELSEWHERE). Ctrl-C stops the
    handing out, ends the running units and gives what is known then.
    """
    folder = JobFolder(path, lease, observer)
    return _Coordinator(job, folder, engine, notice or _say_nothing).run()


def _say_nothing(key: str, report: UnitReport) -> None:
    return None


class _Coordinator:
    """The state of one call of `run_job`."""

    def __init__(self, job: Job, folder: JobFolder, engine: JobEngine, notice: Notice) -> None:
        folder.open(job.fingerprint())
        self._job, self._folder, self._engine, self._notice = job, folder, engine, notice
        self._observer, self._lease = folder.observer, folder.claims.lease
        self._graph = UnitGraph.of(job.units())
        units = self._graph.units
        self._folder.add_units(units)
        self._done: set[str] = set()
        self._failed: dict[str, UnitFailure] = {}
        # A heap of units whose needs are done, by their places in the plan; those that others make
        # stand apart.
        self._places = {key: place for place, key in enumerate(units)}
        self._ready: list[tuple[int, str]] = []
        self._elsewhere: dict[str, None] = {}
        self._dead: dict[str, ClaimRecord] = {}
        # Units of which a worker of this process died.
        self._deaths: set[str] = set()
        self._running: dict[str, Future[Any]] = {}
        self._ended: SimpleQueue[tuple[str, Future[Any]]] = SimpleQueue()
        self._missing = {key: len(set(unit.needs)) for key, unit in units.items()}
        self._old_failures = self._folder.failures()
        self._own_name = str(self._observer.identity()).encode()
        self._look_around()
        for key in units:
            if not self._missing[key]:
                self._add_ready(key)
        for key in self._folder.done_keys(units.values()):
            self._finish(key)

    def run(self) -> JobResult:
        try:
            while self._is_left():
                with self._engine.batch():
                    self._submit_ready()
                has_room = self._wait()
                # Where others are at work, a call that is handed out blindly often meets them.
                is_shared = has_room and self._elsewhere
                pause = _LOOK_BEFORE_CALLS if is_shared else _LOOK_AROUND
                if self._observer.now() - self._looked >= pause:
                    self._look_around()
        except KeyboardInterrupt as interruption:
            self._engine.shutdown(cancel=True)
            return self._result(interruption)
        except BaseException:
            self._engine.shutdown(cancel=True)
            raise
        self._engine.shutdown()
        return self._result()

    def _is_left(self) -> bool:
        return bool(self._ready or self._running or self._elsewhere)

    # -- what can begin ----------------------------------------------------------------------------

    def _submit_ready(self) -> None:
        while self._ready:
            key = self._ready[0][1]
            if key in self._done or key in self._running or key in self._elsewhere:
                heapq.heappop(self._ready)
                continue
            unit = self._graph.units[key]
            if not self._engine.has_room(unit.resources):
                return
            heapq.heappop(self._ready)
            future = self._engine.submit(
                make_unit,
                self._job,
                unit,
                # Workers may have another working folder.
                str(self._folder.path.absolute()),
                self._lease,
                self._dead.pop(key, None),
                resources=unit.resources,
            )
            self._running[key] = future
            future.add_done_callback(partial(self._note_end, key))

    def _note_end(self, key: str, future: Future[Any]) -> None:
        """Called in a thread of the engine."""
        self._ended.put((key, future))

    def _finish(self, key: str) -> None:
        """A unit is done: those that needed it alone can begin."""
        if key in self._done:
            return
        self._done.add(key)
        self._elsewhere.pop(key, None)
        for later in dict.fromkeys(self._graph.needed_by[key]):
            self._missing[later] -= 1
            if not self._missing[later] and later not in self._done:
                self._add_ready(later)

    def _add_ready(self, key: str) -> None:
        place = self._places[key]
        if self._elsewhere:
            # Each of several coordinators has an order of its own among the next units, or all of
            # them would want the same one.
            place += crc32(self._own_name + key.encode()) % (2 * len(self._elsewhere))
        heapq.heappush(self._ready, (place, key))

    # -- what has ended ----------------------------------------------------------------------------

    def _wait(self) -> bool:
        """Take what has ended; whether anything has."""
        seconds = _LOOK_AROUND / 2 if self._running else min(_LOOK_AROUND, self._lease) / 10
        ended = self._observer.collect(self._ended, seconds)
        for key, future in ended:
            del self._running[key]
            try:
                report = future.result()
            except WorkerEnded:
                # The claim tells that its owner is dead; the next attempt goes on from there.
                self._deaths.add(key)
                self._add_ready(key)
                continue
            except Exception as error:  # noqa: BLE001 - the engine's own failure is the unit's
                self._fail(key, self._engine_failure(key, error))
                continue
            self._take_report(key, report)
        return bool(ended)

    def _take_report(self, key: str, report: UnitReport) -> None:
        if report.outcome is Outcome.ELSEWHERE:
            self._elsewhere[key] = None
            return
        if report.failure is not None:
            self._fail(key, report.failure)
            return
        if key in self._deaths:
            self._folder.tidy(key)
        self._finish(key)
        self._notice(key, report)

    def _fail(self, key: str, failure: UnitFailure) -> None:
        self._failed[key] = failure
        self._notice(key, UnitReport(Outcome.FAILED, failure))

    def _engine_failure(self, key: str, error: Exception) -> UnitFailure:
        failure = UnitFailure.of(key, error)
        self._folder.write_failure(failure)
        return failure

    # -- what others do ----------------------------------------------------------------------------

    def _look_around(self) -> None:
        """Units of other processes: done, failed, or free again because their owner is dead."""
        self._looked = self._observer.now()
        generations = self._folder.claims.generations()
        for key in generations:
            is_ours = key in self._running or key in self._done or key in self._failed
            if key in self._graph.units and not is_ours:
                self._elsewhere[key] = None
        # While there is other work, a unit of which no worker of ours died can wait.
        urgent = self._deaths if self._ready else self._elsewhere
        free = self._folder.claims.free(self._elsewhere, generations, urgent)
        for key, dead in free.items():
            del self._elsewhere[key]
            if self._folder.is_done(self._graph.units[key]):
                if dead is not None:
                    self._folder.tidy(key, dead)
                self._finish(key)
                self._notice(key, UnitReport(Outcome.ELSEWHERE))
                continue
            failure = None if dead is not None else self._folder.failure_of(key)
            if failure is not None and failure != self._old_failures.get(key):
                self._fail(key, failure)
                continue
            if dead is not None:
                self._dead[key] = dead
            if not self._missing[key]:
                self._add_ready(key)

    # -- the end -----------------------------------------------------------------------------------

    def _result(self, interruption: KeyboardInterrupt | None = None) -> JobResult:
        waiting: tuple[str, ...] = ()
        if interruption is None:
            waiting = tuple(
                key
                for key in self._graph.units
                if key not in self._done and key not in self._failed
            )
        return JobResult(
            len(self._graph.units),
            len(self._done),
            tuple(self._failed[key] for key in self._graph.units if key in self._failed),
            waiting,
            interruption is not None,
            "" if interruption is None else str(interruption),
        )
