"""What is done, what runs where, what failed and what is left: read from the folder alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torchcross.jobs.claim_files import ClaimRecord
from torchcross.jobs.failures import UnitFailure
from torchcross.jobs.folder import JobFolder
from torchcross.jobs.processes import is_running


@dataclass(frozen=True)
class JobStatus:
    """The units of a job at one moment.

    running    claims whose owner is not known to be dead: one on another machine may be
    ended      claims whose owner is known to be dead; the next process takes them over
    ready      units that could begin now
    waiting    units that need others first
    processes  those in the folder, not known to be dead; they may not have said their units yet
    """

    done: tuple[str, ...]
    running: tuple[ClaimRecord, ...]
    ended: tuple[ClaimRecord, ...]
    failures: tuple[UnitFailure, ...]
    ready: tuple[str, ...]
    waiting: tuple[str, ...]
    processes: tuple[ClaimRecord, ...] = ()

    @property
    def units(self) -> int:
        parts = (self.done, self.running, self.ended, self.failures, self.ready, self.waiting)
        return sum(map(len, parts))


def job_status(path: str | Path) -> JobStatus:
    """Look at a job from any process that sees its folder; nothing is written.

    It knows the units that processes had to make when they began. A need that was none of them was
    done by then.
    """
    folder = JobFolder(path)
    units = {unit.key: unit for unit in folder.units()}
    done = folder.done_keys(units.values())
    claims = {
        record.key: record
        for record in folder.claims.all()
        if record.key in units and record.key not in done
    }
    failures = {
        key: failure
        for key, failure in folder.failures().items()
        if key in units and key not in done and key not in claims
    }
    rest = [key for key in units if key not in done and key not in claims and key not in failures]
    ready = {key: None for key in rest if done.issuperset(units.keys() & set(units[key].needs))}
    dead = {
        key: record
        for key, record in claims.items()
        if record.owner is not None and is_running(record.owner) is False
    }
    return JobStatus(
        tuple(key for key in units if key in done),
        tuple(record for key, record in claims.items() if key not in dead),
        tuple(dead.values()),
        tuple(failures.values()),
        tuple(ready),
        tuple(key for key in rest if key not in ready),
        tuple(folder.processes()),
    )
