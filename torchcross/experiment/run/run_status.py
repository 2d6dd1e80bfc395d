"""How far a run is, read from its folder alone: from any process of any machine that sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torchcross.experiment.rows.row_shots import blanks_in_words, shots_of_row
from torchcross.experiment.run.environment import read_environment
from torchcross.experiment.run.folder import PROTOCOL, RunFolder
from torchcross.experiment.run.run_files import cell_name
from torchcross.experiment.run.time_left import duration_text
from torchcross.jobs import JobStatus, job_status
from torchcross.jobs.claims import ClaimRecord

_SHOWN = 8


@dataclass(frozen=True)
class RunStatus:
    """The rows that a run has and is to have, and the units that are under way.

    seconds_left  as the units took so far; None where none has ended, or none is left
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
            left = f", about {duration_text(self.seconds_left)} left"
        yield f"{len(job.done)} of {job.units} units of the last call are done{left}"
        yield from _part("running", list(map(_running_text, job.running)))
        yield from _part("their process ended", [claim.key for claim in job.ended])
        yield from _part("failed", [f"{each.key}: {each.reason}" for each in job.failures])
        yield f"to begin: {len(job.ready)}, after others: {len(job.waiting)}"


def run_status(folder: str | Path) -> RunStatus:
    """Look at a run; nothing is written."""
    run = RunFolder(folder)
    plain, files = run.experiment, run.files
    targets = run.plain(PROTOCOL).get("targets", {})
    names = [
        cell_name(algorithm, seed, shots, target)
        for target in targets
        for algorithm in plain["algorithms"]
        for seed in plain["seeds"]
        for shots in shots_of_row(algorithm, plain["shots"])
    ]
    done = sum(files.rows(name).is_file() for name in names)
    job = job_status(folder)
    blanks = tuple(blanks_in_words(plain["algorithms"], plain["shots"]))
    return RunStatus(run.path, done, len(names), job, _seconds_left(run, job), blanks)


def _seconds_left(run: RunFolder, job: JobStatus) -> float | None:
    """The rest of the units takes as long as those that ended, shared by the processes at work."""
    known = read_environment(run)
    seconds = [*known.get("trainings", {}).values(), *known.get("cells", {}).values()]
    left = len(job.running) + len(job.ended) + len(job.ready) + len(job.waiting)
    if not seconds or not left:
        return None
    return float(sum(seconds)) / len(seconds) * left / max(1, len(job.running))


def _running_text(claim: ClaimRecord) -> str:
    if claim.owner is None:
        return claim.key
    return f"{claim.key} (process {claim.owner.process} on {claim.owner.host})"


def _part(title: str, entries: list[str]) -> Iterator[str]:
    if not entries:
        return
    yield f"{title}: {len(entries)}"
    yield from (f"  {entry}" for entry in entries[:_SHOWN])
    if len(entries) > _SHOWN:
        yield f"  and {len(entries) - _SHOWN} more"
