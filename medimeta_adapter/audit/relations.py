"""What datasets say of each other, and of their licence."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from medimeta_adapter.audit.audited_dataset import Opened
from medimeta_adapter.audit.findings import Findings

__all__ = ["audit_licences", "audit_overlaps", "licence_terms", "overlapping"]

_TERMS = {
    "non-commercial": re.compile(r"\bnc\b|non-?\s?commercial", re.IGNORECASE),
    "share-alike": re.compile(r"\bsa\b|share-?\s?alike", re.IGNORECASE),
    "no derivatives": re.compile(r"\bnd\b|no-?\s?deriv", re.IGNORECASE),
    "research only": re.compile(
        r"research\W+(?:use|purposes?)?\s*only|only\s+for\s+research", re.IGNORECASE
    ),
}


def audit_overlaps(datasets: Sequence[Opened], findings: Findings) -> None:
    """Lists that name the dataset itself, one that is not there, or one that does not name it
    back.
    """
    present = {opened.name: opened for opened in datasets}
    for opened in datasets:
        for field in ("domain_overlaps", "subject_overlaps"):
            listed: tuple[str, ...] = getattr(opened.info, field)
            where = {"file": "info.yaml", "field": field}
            if opened.name in listed:
                findings.warning("overlap-itself", opened.name, "lists itself", **where)
            if absent := sorted({name for name in listed if name not in present}):
                message = "names datasets that are not here"
                findings.note(
                    "overlap-absent",
                    opened.name,
                    message,
                    count=len(absent),
                    examples=absent,
                    **where,
                )
            silent = [
                name
                for name in listed
                if name in present and opened.name not in _listed(present[name], field)
            ]
            if silent:
                message = (
                    "names datasets that do not name it back; the overlap is taken as binding for"
                    " both"
                )
                findings.warning(
                    "overlap-asymmetric",
                    opened.name,
                    message,
                    count=len(silent),
                    examples=sorted(silent),
                    **where,
                )


def _listed(opened: Opened, field: str) -> tuple[str, ...]:
    names: tuple[str, ...] = getattr(opened.info, field)
    return names


def overlapping(one: Opened, other: Opened) -> bool:
    """Whether leaving one of them out leaves out the other: a list of either names the other."""
    return any(
        second.name in (*first.info.domain_overlaps, *first.info.subject_overlaps)
        for first, second in ((one, other), (other, one))
    )


def licence_terms(text: str) -> tuple[str, ...]:
    """What a licence's name gives away of its terms: `CC BY-NC-SA 4.0` -> non-commercial,
    share-alike.
    """
    return tuple(term for term, pattern in _TERMS.items() if pattern.search(text))


def audit_licences(datasets: Sequence[Opened], findings: Findings) -> Mapping[str, tuple[str, ...]]:
    """The terms of each dataset, as far as its licence's name tells."""
    terms = {opened.name: licence_terms(opened.info.license) for opened in datasets}
    for opened in datasets:
        where = {"file": "info.yaml", "field": "license"}
        if not opened.info.license.strip():
            message = "no licence is named: nobody may use the images without asking"
            findings.warning("licence-missing", opened.name, message, **where)
        elif terms[opened.name]:
            message = f"{opened.info.license}: {', '.join(terms[opened.name])}"
            findings.note("licence-terms", opened.name, message, **where)
    return terms
