"""One unit, made by this process: claim it, run it in a folder of its own, publish its results."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Final

from torchcross.jobs.claim_files import ClaimRecord
from torchcross.jobs.claims import Claim
from torchcross.jobs.failures import UnitFailure, is_of_the_worker
from torchcross.jobs.folder import JobFolder
from torchcross.jobs.observer import THIS_PROCESS, Observer
from torchcross.jobs.units import Job, Unit

MOST_DEATHS: Final = 3
"""After so many workers died while they made a unit and got no further, it has failed."""


class Outcome(Enum):
    """What became of a unit in one process."""

    DONE = "done"
    FAILED = "failed"
    ELSEWHERE = "elsewhere"
    """Another process makes it, or has taken it over from this one."""
    REFUSED = "refused"
    """This process cannot make it: it is of another kind, or cannot write. Another one may."""


@dataclass(frozen=True)
class UnitReport:
    """What became of a unit: `failure` where it has failed or is refused.

    `seconds` are those of its last attempt, where this process made it. `run_job` hands a report of
    each unit to its `notice`; docs/jobs.md has one.
    """

    outcome: Outcome
    failure: UnitFailure | None = None
    seconds: float | None = None


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
    try:
        folder.refuse_others(_fingerprint(job))
        claim = folder.claims.take(unit.key, dead)
    except Exception as error:  # noqa: BLE001 - it is reported, and another worker may be sound
        return UnitReport(Outcome.REFUSED, UnitFailure.of(unit.key, error))
    if claim is None:
        return UnitReport(Outcome.ELSEWHERE)
    is_done = False
    try:
        with claim.heartbeat(lease):
            report = _make(job, unit, folder, claim)
        is_done = report.outcome is Outcome.DONE
    except BaseException:
        # It may have been asked to end after it published the unit.
        is_done = folder.is_done(unit)
        raise
    finally:
        _let_go(unit.key, folder, claim, is_done)
    return report


def _let_go(key: str, folder: JobFolder, claim: Claim, is_done: bool) -> None:
    """Release the claim; of a unit that is done nothing else stays."""
    is_lost = claim.is_lost()
    if is_done and not is_lost:
        folder.attempts.remove(key)
    claim.release()
    if is_done and is_lost:
        # A new owner may be writing its attempt; where there is none any more, nobody else tidies.
        folder.tidy(key)


def _make(job: Job, unit: Unit, folder: JobFolder, claim: Claim) -> UnitReport:
    if folder.is_done(unit):
        # Its last owner published it and was killed before it let go.
        return UnitReport(Outcome.DONE)
    deaths = claim.generation
    if deaths >= MOST_DEATHS:
        deaths -= folder.attempts.with_progress(unit.key, deaths)
    if deaths >= MOST_DEATHS:
        failure = death_failure(unit.key, deaths)
        folder.write_failure(failure)
        return UnitReport(Outcome.FAILED, failure)
    begin = folder.observer.now()
    attempt: Path | None = None
    try:
        attempt = folder.attempts.begin(unit.key)
        job.run(unit.key, attempt)
        folder.publish(unit, attempt)
    except Exception as error:  # noqa: BLE001 - it is reported, and the other units go on
        if attempt and folder.is_published_by_another(unit, attempt):
            # By a late owner, who was thought dead and then removed all attempts at the unit.
            return UnitReport(Outcome.DONE)
        return _report_error(unit.key, folder, claim, error)
    folder.remove_failure(unit.key)
    return UnitReport(Outcome.DONE, seconds=folder.observer.now() - begin)


def _report_error(key: str, folder: JobFolder, claim: Claim, error: Exception) -> UnitReport:
    if claim.is_lost():
        # The new owner may have removed this attempt's files. The unit is the new owner's.
        return UnitReport(Outcome.ELSEWHERE)
    failure = UnitFailure.of(key, error)
    if is_of_the_worker(error):
        return UnitReport(Outcome.REFUSED, failure)
    folder.write_failure(failure)
    return UnitReport(Outcome.FAILED, failure)


def death_failure(key: str, deaths: int) -> UnitFailure:
    return UnitFailure.here(
        key,
        "WorkerDeath",
        f"{deaths} workers ended while they made it, and none of them got further; perhaps they"
        " were killed for want of memory, see the system's log",
    )


@lru_cache(maxsize=2)
def _fingerprint(job: Job) -> dict[str, str | None]:
    """The job's fingerprint in this process: computed once, not for each unit."""
    return dict(job.fingerprint())


def forget_jobs() -> None:
    """Let go of the jobs whose units this process made, and of the data that they hold."""
    _fingerprint.cache_clear()
