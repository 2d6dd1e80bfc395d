"""The page of a study of sources and targets."""

from __future__ import annotations

from torchcross.transfer.page.analysis import StudyAnalysis
from torchcross.transfer.page.contents import (
    PAGE_TITLE,
    PairDistances,
    StudyContents,
    TaskMap,
    check_baseline,
)
from torchcross.transfer.page.write import STUDY_PAGE, write_analysis, write_study_page

__all__ = [
    "PAGE_TITLE",
    "STUDY_PAGE",
    "PairDistances",
    "StudyAnalysis",
    "StudyContents",
    "TaskMap",
    "check_baseline",
    "write_analysis",
    "write_study_page",
]
