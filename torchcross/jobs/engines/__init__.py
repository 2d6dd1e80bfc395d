"""Where units run: this process, other processes of this machine, or whatever gives futures."""

from __future__ import annotations

from torchcross.jobs.engines.engine import ExecutorEngine, JobEngine, WorkerEnded, job_engine_named
from torchcross.jobs.engines.inline import InlineEngine
from torchcross.jobs.engines.local import LocalEngine

__all__ = [
    "ExecutorEngine",
    "InlineEngine",
    "JobEngine",
    "LocalEngine",
    "WorkerEnded",
    "job_engine_named",
]
