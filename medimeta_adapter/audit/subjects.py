"""Subjects in more than one split, and in more than one dataset."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.audit.annotations import SUBJECTS
from medimeta_adapter.audit.audited_dataset import Opened
from medimeta_adapter.audit.findings import Findings
from medimeta_adapter.audit.relations import overlapping
from torchcross._kit.arrays import Indices

__all__ = ["audit_shared_subjects", "audit_subjects"]

_FILE, _COLUMN = "annotations.csv", SUBJECTS
_SHORT = 6


def audit_subjects(opened: Opened, findings: Findings) -> None:
    """Whether each subject stands in one split."""
    subjects = opened.subjects
    if subjects is None:
        message = (
            "no column patient_id: split by image, as far as can be told; one person's images may"
            " stand in several splits, and in support and query of an episode"
        )
        findings.note("subjects-unknown", opened.name, message, file=_FILE, field=_COLUMN)
        return
    for folder, splits in (("splits", opened.splits), ("original_splits", opened.original_splits)):
        for one, other in combinations(splits, 2):
            shared = np.intersect1d(subjects[splits[one]], subjects[splits[other]])
            if not len(shared):
                continue
            images = int(
                np.isin(subjects[np.concatenate([splits[one], splits[other]])], shared).sum()
            )
            message = f"subjects in both {one} and {other}, with {images:,} images there"
            # What others split stays as they split it; nobody is made to use it.
            tell = findings.error if folder == "splits" else findings.note
            code = (
                "subjects-across-splits"
                if folder == "splits"
                else "subjects-across-original-splits"
            )
            tell(
                code,
                opened.name,
                message,
                file=folder,
                field=_COLUMN,
                count=len(shared),
                examples=shared,
            )


def audit_shared_subjects(datasets: Sequence[Opened], findings: Findings) -> None:
    """Ids in two datasets of which one may be the target while the other is a source."""
    known = [
        (opened, np.unique(opened.subjects)) for opened in datasets if opened.subjects is not None
    ]
    for (one, mine), (other, theirs) in combinations(known, 2):
        shared = np.intersect1d(mine, theirs)
        if not len(shared) or overlapping(one, other):
            continue
        telling = _telling(shared)
        where: dict[str, Any] = {"file": _FILE, "field": other.name}
        both = (
            f"subject ids in both {one.name!r} and {other.name!r}, which do not list each other as"
            " overlapping"
        )
        if len(telling):
            message = (
                f"{both}: with one left out, its subjects stay among the sources. The same people:"
                " list both under subject_overlaps; other people: give them ids of their own"
            )
            findings.warning(
                "subjects-across-datasets",
                one.name,
                message,
                count=len(telling),
                examples=telling,
                **where,
            )
        else:
            message = f"{both}; all are short numbers, which may well be a coincidence"
            findings.note(
                "subjects-across-datasets",
                one.name,
                message,
                count=len(shared),
                examples=shared,
                **where,
            )


def _telling(ids: NDArray[Any]) -> Indices | NDArray[Any]:
    """Ids that two datasets hardly have in common by chance: not just a number of a few digits."""
    return np.array(
        [item for item in ids.tolist() if not (str(item).isdigit() and len(str(item)) < _SHORT)]
    )
