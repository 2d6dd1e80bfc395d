"""What an audit returns: findings and a summary of the datasets, as values, JSON and text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medimeta_adapter.audit.findings import Finding, Severity
from medimeta_adapter.audit.shots import TaskShots

SCHEMA = 1
"""Increases when a field of the JSON changes its meaning or goes; not for a new field."""


@dataclass(frozen=True)
class DatasetSummary:
    """One dataset whose info.yaml could be read."""

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

    def plain(self) -> dict[str, Any]:
        """Return the summary as values of JSON."""
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
    """Findings (the worst first), the datasets that could be read, and what was checked.

    shots, queries: the episodes that classes were checked for. looked_at: for every kind of check,
    in words, how far it went.
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
        """Return the findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity is severity)

    def holds(self, fail_on: Severity = Severity.ERROR) -> bool:
        """Whether there is no finding as bad as `fail_on` or worse."""
        return all(finding.severity.rank > fail_on.rank for finding in self.findings)

    @property
    def counts(self) -> dict[str, int]:
        """How many datasets, tasks, images, errors, warnings and notes there are."""
        return {
            "datasets": len(self.datasets),
            "tasks": sum(len(dataset.tasks) for dataset in self.datasets),
            "images": sum(dataset.samples for dataset in self.datasets),
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "notes": len(self.notes),
        }

    def plain(self) -> dict[str, Any]:
        """Return the report as values of JSON, in an order that depends only on the data."""
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
        """Return the report as the text of a JSON file."""
        return json.dumps(self.plain(), indent=2, ensure_ascii=False) + "\n"

    def __str__(self) -> str:
        # rich is imported only for a report that is printed.
        from medimeta_adapter.audit.render import as_text

        return as_text(self)
