"""Valid files of transfer studies and of published tables, and what reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.transfer.study_data import BACKBONE, FAST
from torchcross.transfer.page import write_study_page
from torchcross.transfer.published import write_published_page
from torchcross.transfer.studies import (
    StudyDesign,
    StudyFolder,
    StudyScores,
    StudySettings,
    study_contents,
)

_FILES = {
    "results.csv": (
        "source,target,fold,auroc\na,t,0,.8\na,t,1,.9\nb,t,0,.7\nb,t,1,.75\nc,t,0,.6\nc,t,1,\n"
        "t,t,0,.7\nt,t,1,.8\n"
    ),
    "distances.csv": "source,target,draw,d\na,t,0,1\na,t,1,2\nb,t,0,2\nb,t,1,4\na,b,0,3\na,b,1,3\n",
    "scores.csv": "source,target,score\na,t,1\nb,t,-2\nc,t,.5\n",
    "votes.csv": (
        "dataset,question,answer,votes\na,kind,object,3\na,kind,texture,2\nt,kind,object,1\n"
        "b,kind,texture,4\n"
    ),
    "notes.txt": "# A heading\n\n- an item\n  that goes on\n- another\n\nA `setting` of it.\n",
}

WORDS = {
    "results.csv": (b"nan", b"inf", b"source", b"1e999"),
    "distances.csv": (b"draw", b"nan", b"-0", b"1e308"),
    "scores.csv": (b"target", b"nan", b"1e-320"),
    "votes.csv": (b"votes", b"99999999999999999999", b"'="),
    "notes.txt": (b"# ", b"- ", b"`", b"\n\n"),
}


def table_file(name: str) -> Callable[[Path], Path]:
    """What writes all files of a published study, and returns the path of one."""

    def make(folder: Path) -> Path:
        for other, text in _FILES.items():
            (folder / other).write_text(text, encoding="utf-8")
        return folder / name

    return make


def read_tables(path: Path) -> Any:
    folder = path.parent
    page = write_published_page(
        folder / "results.csv",
        folder / "page",
        baseline="self",
        distances=[folder / "distances.csv"],
        scores=[folder / "scores.csv"],
        votes=folder / "votes.csv",
        notes=folder / "notes.txt",
    )
    return page.read_text(encoding="utf-8")


def study_file(folder: Path) -> Path:
    settings = StudySettings(
        study=StudyDesign(sources=("shapes", "scratch"), targets=("grades",), folds=2),
        backbone=BACKBONE,
        channels=1,
        source_training=FAST,
        scores=StudyScores(names=("knn",), task2vec=30),
    )
    StudyFolder(folder / "study", settings).begin({"data shapes": "0123"})
    return folder / "study" / "study.json"


def read_study_file(path: Path) -> Any:
    page = path.parent / "report.html"
    write_study_page(study_contents(StudyFolder.open(path.parent)), page)
    return page.read_text(encoding="utf-8")
