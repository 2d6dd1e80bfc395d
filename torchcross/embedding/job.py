"""Features as a job: a unit for each source and backbone, in a folder of files of features."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch

from torchcross._kit.surroundings import installed_version, processor_kind
from torchcross._kit.threads import ONE_COMPUTES
from torchcross.embedding.embedding import Embedding, Progress
from torchcross.jobs import (
    JobEngine,
    JobFolder,
    JobResult,
    Resources,
    Unit,
    run_job,
)
from torchcross.jobs.coordinator import Notice

UNFINISHED = ".unfinished"
"""The end of the name of a file of which blocks are missing."""
Plan = tuple[tuple[str, str, str], ...]
"""(key of the unit, name, file) of each file that is to be there."""
_FOREIGN = re.compile(r"[^A-Za-z0-9_=+-]")


class Embeddings(Protocol):
    """What is to be embedded, by name; it can be pickled, for other processes to open."""

    def names(self) -> Sequence[str]:
        """Those that share a backbone stand together."""
        ...

    def open(self, name: str) -> Embedding: ...

    def elsewhere(self) -> Embeddings:
        """The same for a process with another working folder."""
        ...


@dataclass(frozen=True)
class EmbeddingJob:
    """The job of making files of features in the folder `out`.

    resources  what each unit needs
    call       identifies the call of `make_features`, so that no process takes what it has read in
               an earlier call for the present state
    progress   gets the images that are done, where the job runs in this process
    plan       (key of the unit, name, file) of each file; a worker gets it with the job, and builds
               no backbone but those of its own units
    """

    embeddings: Embeddings = field(compare=False)
    out: str = field(compare=False)
    device: str = field(default="cpu", compare=False)
    resources: Resources = field(default=Resources(), compare=False)
    call: str = field(default_factory=lambda: uuid.uuid4().hex)
    progress: Progress | None = field(default=None, compare=False, repr=False)
    plan: Plan | None = field(default=None, compare=False, repr=False)

    def __reduce__(self) -> tuple[object, ...]:
        parts = (
            self.embeddings.elsewhere(),
            str(Path(self.out).absolute()),
            # It sees the GPU that it is to use alone.
            self.device.partition(":")[0],
            self.resources,
        )
        return EmbeddingJob, (*parts, self.call, None, _plan(self))

    def units(self) -> Sequence[Unit]:
        """One for each file; two tasks over the same images have one file."""
        return [Unit(key, (file,), resources=self.resources) for key, _, file in _plan(self)]

    def done_keys(self) -> set[str]:
        """The keys of the units whose files are there."""
        return JobFolder(self.out).done_keys(self.units())

    def name_of(self, key: str) -> str:
        """What the unit of this key embeds."""
        return next(name for each, name, _ in _plan(self) if each == key)

    def file_of(self, key: str) -> str:
        """The name of the file that the unit of this key makes."""
        return next(file for each, _, file in _plan(self) if each == key)

    def fingerprint(self) -> Mapping[str, str]:
        return {
            **{name: str(installed_version(name)) for name in ("torchcross-fewshot", "torch")},
            "processor": processor_kind(torch.device(self.device)),
        }

    def run(self, key: str, folder: Path) -> None:
        with ONE_COMPUTES:
            embedding = _open(self, self.name_of(key))
            file = folder / embedding.file_name
            embedding.write(file.with_name(file.name + UNFINISHED), file, self.progress)


def file_in(folder: Path, embedding: Embedding) -> str:
    """The name of the file of an embedding in a folder, whichever source it is named after."""
    own = embedding.file_name
    if (folder / own).is_file():
        return own
    end = own[own.rindex("-") :]
    return min((path.name for path in folder.glob(f"*{end}")), default=own)


def make_features(job: EmbeddingJob, engine: JobEngine, notice: Notice | None = None) -> JobResult:
    """Make the files of a job that are not there; other processes may do the same meanwhile."""
    folder = JobFolder(job.out)
    with folder.enter() as presence:
        with presence.turn():
            if not presence.others():
                # Versions and hardware of processes that worked here before do not bind this one.
                folder.forget_fingerprint()
            folder.open(job.fingerprint())
        result = run_job(job, folder.path, engine, notice=notice)
        with presence.turn():
            if result.is_complete and not presence.others():
                folder.remove_records()
    if result.stopped:
        raise KeyboardInterrupt(result.message)
    return result


@lru_cache(maxsize=2)
def _plan(job: EmbeddingJob) -> Plan:
    """(key of the unit, name, file) of each file that is to be there."""
    if job.plan is not None:
        return job.plan
    plan: dict[str, tuple[str, str, str]] = {}
    for name in job.embeddings.names():
        embedding = _open(job, name)
        key = embedding.record.key
        if key not in plan:
            file = file_in(Path(job.out), embedding)
            unit = f"features-{_FOREIGN.sub('_', file.rpartition('.')[0])}"
            plan[key] = (unit, name, file)
    return tuple(plan.values())


@lru_cache(maxsize=1)
def _open(job: EmbeddingJob, name: str) -> Embedding:
    return job.embeddings.open(name)
