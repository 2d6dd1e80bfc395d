"""Finds subjects in more than one split, and in more than one dataset."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from medimeta_adapter.audit.annotations import SUBJECTS
from medimeta_adapter.audit.audited_dataset import AuditedDataset
from medimeta_adapter.audit.findings import Findings, Severity
from medimeta_adapter.audit.relations import left_out_together

_FILE = "annotations.csv"
_SHORT = 6
"""Numbers with fewer digits than this are in two datasets by coincidence easily."""


def audit_subjects(dataset: AuditedDataset, findings: Findings) -> None:
    """Report subjects with images in several splits. Original splits stay as they are: a note."""
    if dataset.subjects is None:
        findings.note(
            "subjects-unknown",
            dataset.name,
            "no column patient_id: the splits may be by image; one person's images may be in"
            " several splits, and in support and query of an episode",
            file=_FILE,
            field=SUBJECTS,
        )
        return
    for folder, splits, severity in (
        ("splits", dataset.splits, Severity.ERROR),
        ("original_splits", dataset.original_splits, Severity.NOTE),
    ):
        for one, other in combinations(splits, 2):
            first, second = dataset.subjects[splits[one]], dataset.subjects[splits[other]]
            shared = np.intersect1d(first, second)
            images = np.isin(np.concatenate([first, second]), shared).sum()
            findings.add(
                severity,
                f"subjects-across-{folder.replace('_', '-')}",
                dataset.name,
                f"subjects in both {one} and {other}, with {images:,} images there",
                file=folder,
                field=SUBJECTS,
                examples=shared,
            )


def audit_shared_subjects(datasets: Sequence[AuditedDataset], findings: Findings) -> None:
    """Report ids that two datasets share if one can be a source while the other is the target."""
    known = [
        (dataset, dataset.named_subjects)
        for dataset in datasets
        if dataset.named_subjects is not None
    ]
    for (one, its_subjects), (other, other_subjects) in combinations(known, 2):
        if left_out_together(one, other):
            continue
        shared = np.intersect1d(its_subjects, other_subjects).tolist()
        unusual = [subject for subject in shared if not _is_short_number(str(subject))]
        message = (
            f"subject ids in both {one.name!r} and {other.name!r}, which do not list each other as"
            " overlapping"
        )
        severity = Severity.NOTE
        if unusual:
            severity = Severity.WARNING
            message += (
                ": if one is the target, its subjects stay among the sources. If they are the same"
                " people, list both under subject_overlaps; if not, give them different ids"
            )
        elif shared:
            message += "; all are short numbers, which may be a coincidence"
        findings.add(
            severity,
            "subjects-across-datasets",
            one.name,
            message,
            file=_FILE,
            field=other.name,
            examples=unusual or shared,
        )


def _is_short_number(subject: str) -> bool:
    return subject.isdigit() and len(subject) < _SHORT
