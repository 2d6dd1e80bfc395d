"""Checks what datasets say about each other, and what their licences say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from medimeta_adapter.audit.audited_dataset import AuditedDataset
from medimeta_adapter.audit.findings import Findings

_TERMS = {
    "non-commercial": re.compile(r"\bnc\b|non-?\s?commercial", re.IGNORECASE),
    "share-alike": re.compile(r"\bsa\b|share-?\s?alike", re.IGNORECASE),
    "no derivatives": re.compile(r"\bnd\b|no-?\s?deriv", re.IGNORECASE),
    "research only": re.compile(
        r"research\W+(?:use|purposes?)?\s*only|only\s+for\s+research", re.IGNORECASE
    ),
}


def audit_overlaps(datasets: Sequence[AuditedDataset], findings: Findings) -> None:
    """Report lists that name the dataset itself, an absent one, or one that does not name it."""
    present = {dataset.name: dataset for dataset in datasets}
    for dataset in datasets:
        for field in ("domain_overlaps", "subject_overlaps"):
            listed = _overlaps(dataset, field)
            where = {"file": "info.yaml", "field": field}
            if dataset.name in listed:
                findings.warning("overlap-itself", dataset.name, "lists itself", **where)
            findings.note(
                "overlap-absent",
                dataset.name,
                "names datasets that are not here",
                examples=sorted(set(listed) - set(present)),
                **where,
            )
            findings.warning(
                "overlap-asymmetric",
                dataset.name,
                "names datasets that do not name it in turn; the overlap applies to both",
                examples=sorted(
                    name
                    for name in listed
                    if name in present and dataset.name not in _overlaps(present[name], field)
                ),
                **where,
            )


def _overlaps(dataset: AuditedDataset, field: str) -> tuple[str, ...]:
    names: tuple[str, ...] = getattr(dataset.info, field)
    return names


def left_out_together(one: AuditedDataset, other: AuditedDataset) -> bool:
    """Whether leaving one of them out leaves out the other, because one lists the other."""
    return any(
        second.name in (*first.info.domain_overlaps, *first.info.subject_overlaps)
        for first, second in ((one, other), (other, one))
    )


def licence_terms(text: str) -> tuple[str, ...]:
    """Return the terms in a licence's name: `CC BY-NC-SA 4.0` -> non-commercial, share-alike."""
    return tuple(term for term, pattern in _TERMS.items() if pattern.search(text))


def audit_licences(
    datasets: Sequence[AuditedDataset], findings: Findings
) -> Mapping[str, tuple[str, ...]]:
    """Return the terms of each dataset, as far as the name of its licence shows them."""
    terms = {dataset.name: licence_terms(dataset.info.license) for dataset in datasets}
    for dataset in datasets:
        where = {"file": "info.yaml", "field": "license"}
        if not dataset.info.license.strip():
            findings.warning(
                "licence-missing",
                dataset.name,
                "no licence is named: ask the owners before you use the images",
                **where,
            )
        elif terms[dataset.name]:
            findings.note(
                "licence-terms",
                dataset.name,
                f"{dataset.info.license}: {', '.join(terms[dataset.name])}",
                **where,
            )
    return terms
