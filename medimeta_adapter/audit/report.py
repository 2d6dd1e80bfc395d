"""What an audit hands back: findings, and what there is, as values, JSON and text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medimeta_adapter.audit.audited_dataset import Opened
from medimeta_adapter.audit.findings import Finding, Severity
from medimeta_adapter.audit.shots import TaskShots

__all__ = ["SCHEMA", "AuditReport", "DatasetSummary"]

SCHEMA = 1
"""Raised when a field of the JSON changes its meaning or goes; new fields do not raise it."""


@dataclass(frozen=True)
class DatasetSummary:
    """One dataset that could be opened."""

    id: str
    folder: str
    name: str
    domain: str
    samples: int
    size: tuple[int, int, int]
    splits: Mapping[str, int]
    subjects: int | None
    licence: str
    terms: tuple[str, ...]
    tasks: tuple[TaskShots, ...]

    @classmethod
    def of(
        cls,
        opened: Opened,
        subjects: int | None,
        terms: tuple[str, ...],
        tasks: Sequence[TaskShots],
    ) -> DatasetSummary:
        info = opened.info
        splits = {name: len(rows) for name, rows in opened.splits.items()}
        return cls(
            info.id,
            opened.folder.name,
            info.name,
            info.domain,
            info.total_num_samples,
            info.input_size,
            splits,
            subjects,
            info.license,
            terms,
            tuple(tasks),
        )

    def plain(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "folder": self.folder,
            "name": self.name,
            "domain": self.domain,
            "samples": self.samples,
            "input_size": list(self.size),
            "splits": dict(self.splits),
            "subjects": self.subjects,
            "license": self.licence,
            "license_terms": list(self.terms),
            "tasks": [task.plain() for task in self.tasks],
        }


@dataclass(frozen=True)
class AuditReport:
    """Findings (the worst first), datasets that could be opened, and what was and was not looked
    at.

    shots: what classes are held against; looked_at: for every kind of check, in words, how far it
    went.
    """

    root: str
    datasets: tuple[DatasetSummary, ...]
    findings: tuple[Finding, ...]
    shots: int
    queries: int
    looked_at: Mapping[str, str]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return self.of(Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return self.of(Severity.WARNING)

    @property
    def notes(self) -> tuple[Finding, ...]:
        return self.of(Severity.NOTE)

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is severity)

    def holds(self, fail_on: Severity = Severity.ERROR) -> bool:
        """Whether nothing as bad as `fail_on`, or worse, was found."""
        return all(finding.severity.rank > fail_on.rank for finding in self.findings)

    @property
    def counts(self) -> dict[str, int]:
        return {
            "datasets": len(self.datasets),
            "tasks": sum(len(dataset.tasks) for dataset in self.datasets),
            "images": sum(dataset.samples for dataset in self.datasets),
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "notes": len(self.notes),
        }

    def plain(self) -> dict[str, Any]:
        """The report as JSON's values, in an order that only the data decides."""
        return {
            "schema": "medimeta-audit",
            "schema_version": SCHEMA,
            "root": self.root,
            "counts": self.counts,
            "shots": self.shots,
            "queries": self.queries,
            "looked_at": dict(self.looked_at),
            "findings": [finding.plain() for finding in self.findings],
            "datasets": [dataset.plain() for dataset in self.datasets],
        }

    def to_json(self) -> str:
        return json.dumps(self.plain(), indent=2, ensure_ascii=False) + "\n"

    def __str__(self) -> str:
        from medimeta_adapter.audit.render import as_text

        return as_text(self)
