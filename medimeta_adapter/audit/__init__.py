"""Checks a folder in the MedIMeta format.

It reports the datasets, what is wrong with them, how many shots they allow, and what leaks.
"""

from __future__ import annotations

from medimeta_adapter.audit.findings import Finding, Severity
from medimeta_adapter.audit.report import AuditReport, DatasetSummary
from medimeta_adapter.audit.run import check
from medimeta_adapter.audit.shots import ClassShots, TaskShots

__all__ = [
    "AuditReport",
    "ClassShots",
    "DatasetSummary",
    "Finding",
    "Severity",
    "TaskShots",
    "check",
]
