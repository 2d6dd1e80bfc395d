"""What a job has done, what runs, what failed and what is left, in lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from torchcross._kit.counts import count_text
from torchcross.experiment.run.running_units import folded_lines, running_text
from torchcross.experiment.run.time_left import duration_text
from torchcross.jobs import JobStatus


def job_lines(job: JobStatus, command: str, seconds_left: float | None = None) -> Iterator[str]:
    """The lines of a job that is not whole; none where it is, or where nobody has begun it.

    command  what goes on with it when nothing runs, such as "torchcross run"
    """
    if not job.units:
        # A process that is there still looks at what there is.
        yield from process_lines(job, "no unit is known yet", command)
        return
    if len(job.done) == job.units:
        return
    left = ""
    if seconds_left is not None:
        at_work = count_text(len(job.running), "units")
        left = f"; about {duration_text(seconds_left)} left, while {at_work} run at once"
    yield f"{len(job.done)} of {job.units} units are done{left}"
    yield from _part("running", list(map(running_text, job.running)))
    yield from _part("interrupted, to be taken over", [claim.key for claim in job.ended])
    yield from _part("failed units", [f"{each.key}: {each.reason}" for each in job.failures])
    yield f"not begun: {len(job.ready)}, and {len(job.waiting)} that need others first"
    if job.running:
        return
    yield from process_lines(job, "no unit runs now", command)
    if not job.processes:
        yield f"nothing runs now; give the same `{command}` again to go on"


def process_lines(job: JobStatus, words: str, command: str) -> Iterator[str]:
    """Behind `words`, the processes that are at work on a job; none where there are none."""
    if job.processes:
        yield f"{words}; at work: {len(job.processes)}"
        yield from folded_lines([running_text(each, command) for each in job.processes])


def _part(title: str, entries: list[str]) -> Iterator[str]:
    if entries:
        yield f"{title}: {len(entries)}"
        yield from folded_lines(entries)
