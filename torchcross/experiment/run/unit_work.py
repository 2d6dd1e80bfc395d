"""The units of a run or a search are made: by this process or by others, in one way for both."""

from __future__ import annotations

from torchcross.experiment.run.experiment_job import ExperimentJob
from torchcross.experiment.run.unit_messages import UnitMessages
from torchcross.jobs import JobEngine, JobFolder, run_job
from torchcross.jobs.fingerprints import Fingerprint
from torchcross.jobs.presence import Presence


def open_jobs(fingerprint: Fingerprint, jobs: JobFolder, presence: Presence) -> None:
    """Begin or join the job of a folder; refused where processes of other parts are at work."""
    if not presence.others():
        # Versions and hardware of the processes that worked here before do not bind these.
        jobs.forget_fingerprint()
    jobs.open(fingerprint)


def make_units(
    job: ExperimentJob, jobs: JobFolder, engine: JobEngine, messages: UnitMessages
) -> None:
    """Make all units; Ctrl-C passes through when those that have begun have ended."""
    result = run_job(job, jobs.path, engine, notice=messages.hear)
    if result.stopped:
        raise KeyboardInterrupt(result.message)
