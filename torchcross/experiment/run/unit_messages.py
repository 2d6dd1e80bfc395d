"""What is said while the units of a run are made, and how long they took."""

from __future__ import annotations

import builtins
import time  # noqa: TID251 (how long something takes is said, and decides nothing)
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import Final, Self, final

from torchcross._kit.progress import ProgressBar
from torchcross._kit.whole_files import name_as_text
from torchcross.errors import WriteError
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.run.cells import Cell, WorkContext
from torchcross.experiment.run.experiment_job import Bench
from torchcross.experiment.run.run_failures import Failure, update_failures
from torchcross.experiment.run.running_units import (
    MOST_LINES,
    folded_lines,
    running_text,
    unit_text,
)
from torchcross.experiment.run.time_left import UnitTime, UnitTimes, duration_text, group_of_unit
from torchcross.experiment.settings.row_names import algorithm_of
from torchcross.jobs import JobFolder, Outcome, UnitFailure, UnitReport
from torchcross.jobs.claim_files import ClaimRecord
from torchcross.jobs.observer import THIS_PROCESS
from torchcross.jobs.presence import Presence

_EVERY: Final = 10.0
"""Seconds between two lines that say how much is done, and between two writings of times."""

_REFRESH: Final = 3.0
"""Seconds between two looks at what runs where."""

KeepTimes = Callable[[Mapping[str, UnitTime]], object]
"""Gets when units ended and how long they took, by key; called by one process at a time."""


@final
class UnitMessages:
    """Hears of each unit that ends, and keeps now and then what is known.

    A context: a bar of all units is on the screen in it, if that is a terminal. `has_bars`: units
    have bars of their own there. `keep_times`: where it is written how long units took.
    `known_seconds`: how long those of an earlier call took.
    """

    def __init__(
        self,
        work: WorkContext,
        bench: Bench,
        jobs: JobFolder,
        presence: Presence,
        *,
        has_bars: bool,
        keep_times: KeepTimes | None = None,
        known_seconds: Mapping[str, float] | None = None,
    ) -> None:
        self._work, self._bench, self._jobs, self._presence = work, bench, jobs, presence
        self._keep_times = keep_times
        # Where units are made in this process, their own bars are on the screen.
        wanted = False if has_bars else work.progress
        name = name_as_text(work.folder.path.resolve())
        units = bench.plan.units
        self._ended = jobs.done_keys(units)
        # Of each group: there may be thousands of units, and one ends every moment.
        self._left = Counter(
            group_of_unit(unit.key) for unit in units if unit.key not in self._ended
        )
        self._bar = ProgressBar(
            len(units), name, start=len(self._ended), wanted=wanted, shows_pace=False
        )
        self._times, self._at_work = UnitTimes(known_seconds or {}), 1
        self._words: dict[str, str] = {}
        self._has_begun = False
        self._screen = ExitStack()
        self._failures: dict[str, UnitFailure] = {}
        self._said: set[str] = set()
        self._seconds: dict[str, UnitTime] = {}
        self._written = time.monotonic()

    def __enter__(self) -> Self:
        self._screen.enter_context(self._bar)
        if self._bar.is_visible:
            self._screen.enter_context(THIS_PROCESS.repeat(self._show_running, _REFRESH))
        return self

    def __exit__(self, *error: object) -> None:
        self._screen.close()
        self.keep(wait=True)

    def hear(self, key: str, report: UnitReport) -> None:
        self._has_begun = True
        if report.outcome is Outcome.REFUSED and report.failure is not None:
            failure = report.failure
            self._say_once(
                f"note: process {failure.process} on {failure.host} makes no units, others get"
                f" them: {failure.reason}"
            )
            return
        if report.outcome is not Outcome.ELSEWHERE:
            self._repeat_log(key)
        if report.failure is not None:
            self.hear_failure(key, report.failure)
        elif report.outcome is Outcome.DONE:
            self._failures.pop(key, None)
            if report.seconds is not None:
                self._seconds[key] = UnitTime(report.seconds, time.time())
                self._times.add(key, report.seconds)
        if key not in self._ended:
            self._ended.add(key)
            self._left[group_of_unit(key)] -= 1
        self._show_ended()
        if time.monotonic() - self._written >= _EVERY:
            self.keep()
            self._say_progress()

    def keep(self, *, wait: bool = False) -> None:
        """Write what is known so far: how long units took, and what failed.

        While another process has the turn, it is kept for the next time, unless it is to `wait`.
        """
        self._written = time.monotonic()
        try:
            if wait:
                with self._presence.turn():
                    self._write()
                return
            with self._presence.turn_if_free() as is_ours:
                if is_ours:
                    self._write()
        except WriteError as error:
            # A disk that is full now may have room when the last cell is done.
            self._work.say(f"failed: {error}")

    def _write(self) -> None:
        if self._keep_times is not None:
            self._keep_times(self._seconds)
        self._seconds = {}
        self.update_failures()

    def update_failures(self) -> list[Failure]:
        """failures.json out of what this process, and what the folder knows; only in a turn."""
        known = {**self._jobs.failures(), **self._failures}
        return update_failures(self._work.folder, self._bench.plan, known)

    def _say_progress(self) -> None:
        ended, units = len(self._ended), len(self._bench.plan.units)
        if ended == units or self._bar.is_visible:
            return
        self._count_at_work()
        self._work.say(", ".join([f"{ended} of {units} units have ended", *self._time_left()]))

    def _show_ended(self) -> None:
        """Move the bar, and say how long the rest takes."""
        if not self._bar.is_visible:
            return
        failed = [f"{len(self._failures)} failed"] if self._failures else []
        self._bar(len(self._ended), note=", ".join([*failed, *self._time_left()]))

    def _time_left(self) -> Iterator[str]:
        """Nothing before a unit of each kind has ended, in this call or an earlier one."""
        left = self._left.total()
        seconds = self._times.seconds_of_groups(self._left, min(self._at_work, left))
        if left and seconds is not None:
            yield f"about {duration_text(seconds)} left"

    def _count_at_work(self) -> list[str]:
        """See how many units are made at once; what they are, in lines."""
        claims, more = self._jobs.claims.first(MOST_LINES)
        self._at_work = max(self._at_work, len(claims) + more)
        lines = list(folded_lines([self._text_of(claim) for claim in claims], more))
        return lines or ([] if self._has_begun else ["  processes are starting"])

    def _text_of(self, claim: ClaimRecord) -> str:
        """What is made, in words, and where."""
        if claim.key not in self._words:
            self._words[claim.key] = unit_text(
                claim.key, self._bench.plan.cells_that_need(claim.key)
            )
        return running_text(claim, self._words[claim.key])

    def _show_running(self) -> None:
        """What runs, below the bar; where the folder does not answer, what ran before."""
        with suppress(OSError):
            self._bar.show_lines(self._count_at_work())
            self._show_ended()

    def _repeat_log(self, key: str) -> None:
        """Say what a unit said in another process; what it said in this one was heard."""
        if self._bench.has_made:
            return
        for line in self._jobs.log_lines(key):
            self._work.say(line)

    def hear_failure(self, key: str, failure: UnitFailure) -> None:
        """What cells wait for has failed: a unit, or what units would be made of."""
        self._failures[key] = failure
        for cell in self._bench.plan.cells_that_need(key):
            # Units of one cell often fail for one reason.
            self._say_once(f"failed: {cell}: {failure.reason}{_advice(cell, failure)}")

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._work.say(line)


def _advice(cell: Cell, failure: UnitFailure) -> str:
    """Where a row of the user's own fails by an error of its code, what checks that code."""
    kind = getattr(builtins, failure.kind, OSError)
    if algorithm_of(cell.algorithm) in METHODS.own or issubclass(kind, OSError | MemoryError):
        return ""
    return (
        "; `torchcross.testing.check_algorithm` checks a method of one's own, see docs/extending.md"
    )
