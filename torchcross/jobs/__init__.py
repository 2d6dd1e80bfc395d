"""Work units, and any number of processes that make them in one folder, on engines that exist.

This room knows no experiment: who has units to make (experiments, transfer studies, embedding)
writes a `Job`.
"""

from __future__ import annotations

from torchcross.jobs.coordinator import JobResult, run_job
from torchcross.jobs.engines import (
    ExecutorEngine,
    InlineEngine,
    JobEngine,
    LocalEngine,
    WorkerEnded,
    job_engine_named,
)
from torchcross.jobs.failures import UnitFailure
from torchcross.jobs.folder import JobFolder
from torchcross.jobs.status import JobStatus, job_status
from torchcross.jobs.units import Job, Resources, Unit, UnitGraph
from torchcross.jobs.work import Outcome, UnitReport

__all__ = [
    "ExecutorEngine",
    "InlineEngine",
    "Job",
    "JobEngine",
    "JobFolder",
    "JobResult",
    "JobStatus",
    "LocalEngine",
    "Outcome",
    "Resources",
    "Unit",
    "UnitFailure",
    "UnitGraph",
    "UnitReport",
    "WorkerEnded",
    "job_engine_named",
    "job_status",
    "run_job",
]
