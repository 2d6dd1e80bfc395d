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

from torchcross.jobs.claim_files import ClaimRecord
from torchcross.jobs.claims import LEASE
from torchcross.jobs.engines import JobEngine, WorkerEnded
from torchcross.jobs.failures import UnitFailure
from torchcross.jobs.folder import JobFolder
from torchcross.jobs.observer import THIS_PROCESS, Observer
from torchcross.jobs.units import Job, UnitGraph
from torchcross.jobs.units_left import UnitsLeft
from torchcross.jobs.work import MOST_DEATHS, Outcome, UnitReport, forget_jobs, make_unit

Notice = Callable[[str, UnitReport], object]

_LOOK_AROUND: Final = 1.0
"""Seconds between two looks at what other processes of the same job have done."""

_LOOK_BEFORE_CALLS: Final = 0.1
"""The same, before new units are handed out."""


MOST_REFUSALS: Final = 3
"""So often a unit that a worker refuses is given to another one."""

_AFTER_REFUSAL: Final = 2.0
"""Seconds until then, and twice as many each time: who refuses at once must not get all units."""


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
    finished, that failed, that a worker refused and another one gets (REFUSED), or that another
    process finished meanwhile (ELSEWHERE). Ctrl-C stops the handing out, ends the running units and
    gives what is known then.
    """
    folder = JobFolder(path, lease, observer)
    try:
        return _Coordinator(job, folder, engine, notice or _say_nothing).run()
    finally:
        forget_jobs()


def _say_nothing(key: str, report: UnitReport) -> None:
    return None


class _Coordinator:
    """The state of one call of `run_job`."""

    def __init__(self, job: Job, folder: JobFolder, engine: JobEngine, notice: Notice) -> None:
        folder.open(job.fingerprint())
        self._job, self._folder, self._engine, self._notice = job, folder, engine, notice
        self._observer, self._lease = folder.observer, folder.claims.lease
        graph = UnitGraph.of(job.units())
        self._folder.add_units(graph.units)
        self._left = UnitsLeft(graph, str(self._observer.identity()).encode())
        self._count = len(self._left)
        self._failed: dict[str, UnitFailure] = {}
        # Units that others make, and claims of those whose owner is dead.
        self._elsewhere: dict[str, None] = {}
        self._dead: dict[str, ClaimRecord] = {}
        # Units of which workers of this process died, and how many did before they claimed it.
        self._deaths: dict[str, int] = {}
        # How often workers refused a unit, and when it may begin again.
        self._refusals: dict[str, int] = {}
        self._later: list[tuple[float, str]] = []
        self._running: dict[str, Future[Any]] = {}
        self._ended: SimpleQueue[tuple[str, Future[Any]]] = SimpleQueue()
        self._old_failures = self._folder.failures()
        self._look_around()
        for key in self._left.in_order():
            self._left.add_if_free(key, len(self._elsewhere))
        for key in self._folder.done_keys(self._left.units()):
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
        waiting = self._left.first() is not None or self._running or self._elsewhere
        return bool(waiting or self._later)

    # -- what can begin ----------------------------------------------------------------------------

    def _submit_ready(self) -> None:
        while self._later and self._later[0][0] <= self._observer.now():
            self._add_ready(heapq.heappop(self._later)[1])
        while (key := self._left.first()) is not None:
            if not self._can_begin(key):
                self._left.take_first()
                continue
            unit = self._left[key]
            if not self._engine.has_room(unit.resources):
                return
            self._left.take_first()
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

    def _can_begin(self, key: str) -> bool:
        is_known = key in self._failed or key in self._running or key in self._elsewhere
        return key in self._left and not is_known

    def _note_end(self, key: str, future: Future[Any]) -> None:
        """Called in a thread of the engine."""
        self._ended.put((key, future))

    def _finish(self, key: str) -> None:
        """A unit is done: those that needed it alone can begin."""
        if key not in self._left:
            return
        for table in (self._elsewhere, self._dead, self._deaths, self._refusals, self._failed):
            table.pop(key, None)
        self._old_failures.pop(key, None)
        for later in self._left.finish(key):
            self._add_ready(later)

    def _add_ready(self, key: str) -> None:
        self._left.add_if_free(key, len(self._elsewhere))

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
                self._take_death(key)
                continue
            except Exception as error:  # noqa: BLE001 - the engine's own failure is the unit's
                self._fail(key, UnitFailure.of(key, error), is_known=False)
                continue
            self._take_report(key, report)
        return bool(ended)

    def _take_death(self, key: str) -> None:
        """A worker of this process died: its claim tells others so, and the next goes on from it.

        One that claimed nothing left no trace, and is counted here.
        """
        before = self._deaths.get(key, 0)
        has_claimed = self._folder.claims.holder(key) is not None
        self._deaths[key] = 0 if has_claimed else before + 1
        if self._deaths[key] < MOST_DEATHS:
            self._add_ready(key)
            return
        reason = (
            f"{MOST_DEATHS} workers ended before they began it; the logs of the engine may say why"
        )
        self._fail(key, UnitFailure.here(key, "WorkerDeath", reason), is_known=False)

    def _take_report(self, key: str, report: UnitReport) -> None:
        if report.outcome is Outcome.ELSEWHERE:
            self._elsewhere[key] = None
            return
        if report.failure is not None:
            if report.outcome is Outcome.REFUSED and self._is_retried(key):
                self._notice(key, report)
                return
            self._fail(key, report.failure)
            return
        if key in self._deaths:
            self._folder.tidy(key)
        self._finish(key)
        self._notice(key, report)

    def _is_retried(self, key: str) -> bool:
        """Whether another worker gets a unit that one has refused. Here, all are alike."""
        count = self._refusals.get(key, 0) + 1
        if self._engine.is_here or count > MOST_REFUSALS:
            return False
        self._refusals[key] = count
        pause = _AFTER_REFUSAL * 2 ** (count - 1)
        heapq.heappush(self._later, (self._observer.now() + pause, key))
        return True

    def _fail(self, key: str, failure: UnitFailure, *, is_known: bool = True) -> None:
        """Once in a call. `is_known`: the folder has the reason, or is not to have it."""
        self._failed[key] = failure
        if not is_known:
            self._folder.write_failure(failure)
        self._notice(key, UnitReport(Outcome.FAILED, failure))

    # -- what others do ----------------------------------------------------------------------------

    def _look_around(self) -> None:
        """Units of other processes: done, failed, or free again because their owner is dead."""
        self._looked = self._observer.now()
        generations = self._folder.claims.generations()
        for key in generations:
            if self._can_begin(key):
                self._elsewhere[key] = None
        # While there is other work, a unit of which no worker of ours died can wait.
        urgent = self._elsewhere if self._left.first() is None else self._deaths
        free = self._folder.claims.free(self._elsewhere, generations, urgent)
        for key, dead in free.items():
            del self._elsewhere[key]
            if self._folder.is_done(self._left[key]):
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
            self._add_ready(key)

    # -- the end -----------------------------------------------------------------------------------

    def _result(self, interruption: KeyboardInterrupt | None = None) -> JobResult:
        left = self._left.in_order()
        waiting = () if interruption else tuple(key for key in left if key not in self._failed)
        return JobResult(
            self._count,
            self._count - len(left),
            tuple(self._failed[key] for key in left if key in self._failed),
            waiting,
            interruption is not None,
            "" if interruption is None else str(interruption),
        )
