"""How far a run is, read from its folder alone: from any process of any machine that sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.row_shots import blanks_in_words
from torchcross.experiment.run.environment import read_times
from torchcross.experiment.run.folder import PROTOCOL, PROVENANCE, RunFolder
from torchcross.experiment.run.job_lines import job_lines
from torchcross.experiment.run.run_plugins import changes_in_words, lacks_in_words
from torchcross.experiment.run.scored_cells import scored_cells
from torchcross.experiment.run.time_left import UnitTimes
from torchcross.experiment.settings.row_names import algorithm_of
from torchcross.jobs import JobStatus, job_status


@dataclass(frozen=True)
class RunStatus:
    """The rows that a run has and is to have, and the units that are under way.

    seconds_left  as units of the same kinds took so far; None where that is not known, or none runs
    blanks        which cells there cannot be, and why
    plugins       what is not as it was when the run was made: plugin files that are not loaded, or
                  changed
    """

    folder: Path
    cells_done: int
    cells: int
    job: JobStatus
    seconds_left: float | None
    blanks: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.folder}: {self.cells_done} of {self.cells} cells have their rows"
        yield from self.blanks
        yield from self.plugins
        yield from job_lines(self.job, "torchcross run", self.seconds_left)


def run_status(folder: str | Path) -> RunStatus:
    """Look at a run; nothing is written."""
    run = RunFolder(folder)
    plain, files = run.experiment, run.files
    targets = run.plain(PROTOCOL).get("targets", {})

    def is_done(name: str) -> bool:
        return files.rows(name).is_file()

    names = [cell.name for cell in scored_cells(plain, targets, is_done)]
    done = sum(map(is_done, names))
    job = job_status(folder)
    known = [row for row in run.algorithms if algorithm_of(row) in METHODS]
    blanks = tuple(blanks_in_words(known, plain["shots"]))
    plugins = (*lacks_in_words(run), *changes_in_words(run.plain(PROVENANCE)))
    return RunStatus(run.path, done, len(names), job, _seconds_left(run, job), blanks, plugins)


def _seconds_left(run: RunFolder, job: JobStatus) -> float | None:
    """Units take as long as those of their kind that ended; those at work share them.

    None where nothing runs, or a kind that is left is not known yet.
    """
    left = [claim.key for claim in (*job.running, *job.ended)] + [*job.ready, *job.waiting]
    if not (left and job.running):
        return None
    return _times(run).seconds_left(left, len(job.running))


def _times(run: RunFolder) -> UnitTimes:
    """Of runs of earlier versions, whose units are not known, kinds are guessed."""
    known = read_times(run)
    times = UnitTimes({})
    for kind, parts in (("train", known.trainings), ("score", known.cells)):
        for by_key in parts.values():
            for key, seconds in by_key.items():
                times.add(key or kind, seconds)
    return times
