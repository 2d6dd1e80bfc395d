"""One unit, made by this process: claim it, run it in a folder of its own, publish its results."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

from torchcross.errors import WriteError
from torchcross.jobs.claims import Claim, ClaimRecord
from torchcross.jobs.failures import UnitFailure
from torchcross.jobs.folder import JobFolder
from torchcross.jobs.observer import THIS_PROCESS, Observer
from torchcross.jobs.units import Job, Unit

MOST_DEATHS: Final = 3
"""After so many workers died while they made a unit, it has failed."""


class Outcome(Enum):
    """What became of a unit in one process."""

    DONE = "done"
    FAILED = "failed"
    ELSEWHERE = "elsewhere"
    """Another process makes it, or has taken it over from this one."""


@dataclass(frozen=True)
class UnitReport:
    """What became of a unit: `failure` where it has failed, `seconds` of its last attempt."""

    outcome: Outcome
    failure: UnitFailure | None = None
    seconds: float = 0.0


def make_unit(
    job: Job,
    unit: Unit,
    path: str,
    lease: float,
    dead: ClaimRecord | None = None,
    observer: Observer = THIS_PROCESS,
) -> UnitReport:
    """Make a unit of the job whose folder is `path`, unless it is done or made elsewhere.

    `dead` is its claim, where the caller knows that the claim's owner is dead. Ctrl-C and
    SystemExit pass through: what the attempt has written is kept for the next one.
    """
    folder = JobFolder(path, lease, observer)
    if folder.is_done(unit):
        return UnitReport(Outcome.DONE)
    folder.refuse_others(_fingerprint(job))
    claim = folder.claims.take(unit.key, dead)
    if claim is None:
        return UnitReport(Outcome.ELSEWHERE)
    try:
        with claim.heartbeat(lease):
            return _make(job, unit, folder, claim)
    finally:
        claim.release()


def _make(job: Job, unit: Unit, folder: JobFolder, claim: Claim) -> UnitReport:
    if folder.is_done(unit):
        # Its last owner published it and was killed before it let go.
        folder.remove_attempts(unit.key)
        return UnitReport(Outcome.DONE)
    if claim.generation >= MOST_DEATHS:
        failure = UnitFailure.here(
            unit.key,
            "WorkerDeath",
            f"{claim.generation} workers ended while they made it, perhaps killed for want of"
            " memory; see the system's log",
        )
        return _report_failure(folder, failure)
    begin = folder.observer.now()
    try:
        attempt = folder.begin_attempt(unit.key)
        job.run(unit.key, attempt)
        folder.publish(unit, attempt)
    except Exception as error:  # noqa: BLE001 - it is reported, and the other units go on
        if claim.is_lost():
            # The new owner may have removed this attempt's files. The unit is the new owner's.
            return UnitReport(Outcome.ELSEWHERE)
        return _report_failure(folder, UnitFailure.of(unit.key, error))
    folder.remove_failure(unit.key)
    folder.remove_attempts(unit.key)
    return UnitReport(Outcome.DONE, seconds=folder.observer.now() - begin)


def _report_failure(folder: JobFolder, failure: UnitFailure) -> UnitReport:
    # The disk may be full, and that may be the failure: the report has it too.
    with suppress(WriteError):
        folder.write_failure(failure)
    return UnitReport(Outcome.FAILED, failure)


@lru_cache(maxsize=2)
def _fingerprint(job: Job) -> dict[str, str]:
    """The job's fingerprint in this process: computed once, not for each unit."""
    return dict(job.fingerprint())
