"""How far a transfer study is, read from its folder alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torchcross.experiment.run.job_lines import job_lines
from torchcross.jobs import JobStatus, job_status
from torchcross.transfer.studies import StudyFolder


@dataclass(frozen=True)
class StudyStatus:
    """The cells that a study has and is to have, and the units that are under way."""

    folder: Path
    cells_done: int
    cells: int
    job: JobStatus

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.folder}: {self.cells_done} of {self.cells} cells are done"
        yield from job_lines(self.job, "torchcross transfer run")


def study_status(folder: str | Path) -> StudyStatus:
    """Look at a study; nothing is written."""
    study = StudyFolder.open(folder)
    done = [record is not None for _, record in study.pairs()]
    return StudyStatus(study.path, sum(done), len(done), job_status(folder))
