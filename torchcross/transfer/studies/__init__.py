"""Studies: each source against each target, fold by fold, by any number of processes."""

from __future__ import annotations

from torchcross.transfer.source_target import SCRATCH
from torchcross.transfer.studies.data import SourcesByName, StudyData
from torchcross.transfer.studies.folder import STUDY, StudyFolder
from torchcross.transfer.studies.machine import StudyMachine
from torchcross.transfer.studies.report import write_study_report
from torchcross.transfer.studies.run import StudyOutcome, run_study, study, train_sources
from torchcross.transfer.studies.settings import (
    StudyDesign,
    StudyReptile,
    StudyScores,
    StudySettings,
    StudyTraining,
)
from torchcross.transfer.studies.source_networks import source_models
from torchcross.transfer.studies.study_page import study_contents

__all__ = [
    "SCRATCH",
    "STUDY",
    "SourcesByName",
    "StudyData",
    "StudyDesign",
    "StudyFolder",
    "StudyMachine",
    "StudyOutcome",
    "StudyReptile",
    "StudyScores",
    "StudySettings",
    "StudyTraining",
    "run_study",
    "source_models",
    "study",
    "study_contents",
    "train_sources",
    "write_study_report",
]
