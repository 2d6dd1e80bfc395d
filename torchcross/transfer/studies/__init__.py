"""Studies: each source against each target, fold by fold, by any number of processes."""

from __future__ import annotations

from torchcross.transfer.studies.data import SourcesByName, StudyData
from torchcross.transfer.studies.folder import StudyFolder
from torchcross.transfer.studies.report import write_study_report
from torchcross.transfer.studies.run import StudyOutcome, run_study, study
from torchcross.transfer.studies.settings import (
    SCRATCH,
    StudyDesign,
    StudyScores,
    StudySettings,
    StudyTraining,
)

__all__ = [
    "SCRATCH",
    "SourcesByName",
    "StudyData",
    "StudyDesign",
    "StudyFolder",
    "StudyOutcome",
    "StudyScores",
    "StudySettings",
    "StudyTraining",
    "run_study",
    "study",
    "write_study_report",
]
