"""What a study says while it is made: a line for each unit, with the time that is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from torchcross.jobs import JobFolder, Outcome, UnitReport
from torchcross.report.numbers import percent_text
from torchcross.transfer.studies.job import SourceTrainingJob, StudyJob
from torchcross.transfer.studies.units import SourceTraining, StudyPair, Work


@final
class StudyMessages:
    """Hears of units, and says how many are done."""

    def __init__(
        self,
        job: StudyJob | SourceTrainingJob,
        folder: JobFolder,
        say: Callable[[str], None],
    ) -> None:
        self._works, self._say = job.works, say
        self._total = len(self._works)
        self._done = sum(folder.is_done(unit) for unit in job.units())
        self._made, self._now = 0, folder.observer.now
        self._begin = self._now()
        if self._done:
            say(f"{self._done} of {self._total} parts are there")

    def __call__(self, key: str, report: UnitReport) -> None:
        words = words_of(self._works[key])
        if report.failure is not None:
            self._say(f"failed: {words}: {report.failure.reason}")
            return
        self._done += 1
        self._made += 1
        elsewhere = ", by another process" if report.outcome is Outcome.ELSEWHERE else ""
        self._say(f"{self._done} of {self._total}{self._time_left()}: {words}{elsewhere}")

    def _time_left(self) -> str:
        """About how long the rest takes, at the pace of this call."""
        seconds = (self._now() - self._begin) / self._made * (self._total - self._done)
        if self._done == self._total:
            return ""
        return f", about {seconds / 60:.0f} min left" if seconds > 90 else f", {seconds:.0f} s left"


def words_of(work: Work) -> str:
    if isinstance(work, SourceTraining):
        return f"{work.source} learned, seed {work.seed}"
    if isinstance(work, StudyPair):
        share = "" if work.fraction == 1 else f", {percent_text(work.fraction)}"
        return f"{work.source} on {work.target}{share}, fold {work.fold}, seed {work.seed}"
    fold = "" if work.fold is None else f", fold {work.fold}"
    return f"{work.dataset} embedded{fold}"
