"""How far a run is, read from its folder alone: from any process of any machine that sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torchcross._kit.counts import count_text
from torchcross.experiment.rows.row_shots import blanks_in_words
from torchcross.experiment.run.environment import read_times
from torchcross.experiment.run.folder import PROTOCOL, RunFolder
from torchcross.experiment.run.running_units import folded_lines, running_text
from torchcross.experiment.run.scored_cells import scored_cells
from torchcross.experiment.run.time_left import duration_text
from torchcross.jobs import JobStatus, job_status


@dataclass(frozen=True)
class RunStatus:
    """The rows that a run has and is to have, and the units that are under way.

    seconds_left  as units of the same kinds took so far; None where that is not known, or none runs
    blanks        which cells there cannot be, and why
    """

    folder: Path
    cells_done: int
    cells: int
    job: JobStatus
    seconds_left: float | None
    blanks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        job = self.job
        yield f"{self.folder}: {self.cells_done} of {self.cells} cells have their rows"
        yield from self.blanks
        if not job.units or len(job.done) == job.units:
            return
        left = ""
        if self.seconds_left is not None:
            at_work = count_text(len(job.running), "units")
            left = f"; about {duration_text(self.seconds_left)} left, while {at_work} run at once"
        yield f"{len(job.done)} of {job.units} units are done{left}"
        yield from _part("running", list(map(running_text, job.running)))
        yield from _part("interrupted, to be taken over", [claim.key for claim in job.ended])
        yield from _part("failed", [f"{each.key}: {each.reason}" for each in job.failures])
        yield f"not begun: {len(job.ready)}, and {len(job.waiting)} that need others first"
        if not job.running:
            yield "nothing runs now; give the same `torchcross run` again to go on"


def run_status(folder: str | Path) -> RunStatus:
    """Look at a run; nothing is written."""
    run = RunFolder(folder)
    plain, files = run.experiment, run.files
    targets = run.plain(PROTOCOL).get("targets", {})
    names = [cell.name for cell in scored_cells(plain, targets)]
    done = sum(files.rows(name).is_file() for name in names)
    job = job_status(folder)
    blanks = tuple(blanks_in_words(run.algorithms, plain["shots"]))
    return RunStatus(run.path, done, len(names), job, _seconds_left(run, job), blanks)


def _seconds_left(run: RunFolder, job: JobStatus) -> float | None:
    """Each kind of unit takes as long as those of its kind that ended; those at work share them.

    None where nothing runs, or a kind that is left is not known yet.
    """
    left = [claim.key for claim in (*job.running, *job.ended)] + [*job.ready, *job.waiting]
    if not (left and job.running):
        return None
    means = _mean_seconds(run)
    if any(_kind(key) not in means for key in left):
        return None
    return sum(means[_kind(key)] for key in left) / len(job.running)


def _mean_seconds(run: RunFolder) -> dict[str, float]:
    """Kind of unit -> seconds of one; of runs of earlier versions, kinds are guessed."""
    known = read_times(run)
    by_kind: dict[str, list[float]] = {}
    for kind, parts in (("train", known.trainings), ("score", known.cells)):
        for by_key in parts.values():
            for key, seconds in by_key.items():
                by_kind.setdefault(_kind(key) or kind, []).append(seconds)
    return {kind: sum(seconds) / len(seconds) for kind, seconds in by_kind.items()}


def _kind(key: str) -> str:
    """What a unit does: the first word of its key."""
    return key.partition("-")[0]


def _part(title: str, entries: list[str]) -> Iterator[str]:
    if entries:
        yield f"{title}: {len(entries)}"
        yield from folded_lines(entries)
