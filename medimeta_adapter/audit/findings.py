"""What an audit finds: one value per kind of trouble and place, collected and never raised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["SHOWN", "Finding", "Findings", "Severity"]

SHOWN = 5
"""Examples kept with a finding; its count is of all."""


class Severity(StrEnum):
    """error: the files contradict themselves, or subjects leak; warning: results are in doubt;
    note: good to know.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Severity).index(self)


@dataclass(frozen=True)
class Finding:
    """One kind of trouble at one place.

    code: a stable name of the kind, for machines. dataset: its id, or its folder's name where it
    has none; empty where the finding is about the root. file: relative to the dataset's folder.
    field: a key of info.yaml, a task, a column. count: how often; examples: some of them, in words.
    """

    severity: Severity
    code: str
    dataset: str
    message: str
    file: str = ""
    field: str = ""
    count: int = 1
    examples: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The finding as JSON's values."""
        return {
            "severity": str(self.severity),
            "code": self.code,
            "dataset": self.dataset,
            "file": self.file,
            "field": self.field,
            "message": self.message,
            "count": self.count,
            "examples": list(self.examples),
        }

    @property
    def _place(self) -> tuple[str, ...]:
        return self.dataset, self.file, self.field, self.code, self.message


class Findings:
    """A growing collection."""

    def __init__(self) -> None:
        self._found: list[Finding] = []

    def error(self, code: str, dataset: str, message: str, **more: Any) -> None:
        self._add(Severity.ERROR, code, dataset, message, **more)

    def warning(self, code: str, dataset: str, message: str, **more: Any) -> None:
        self._add(Severity.WARNING, code, dataset, message, **more)

    def note(self, code: str, dataset: str, message: str, **more: Any) -> None:
        self._add(Severity.NOTE, code, dataset, message, **more)

    def _add(
        self,
        severity: Severity,
        code: str,
        dataset: str,
        message: str,
        *,
        file: str = "",
        field: str = "",
        count: int = 1,
        examples: Iterable[object] = (),
    ) -> None:
        shown = tuple(str(example) for example, _ in zip(examples, range(SHOWN), strict=False))
        self._found.append(
            Finding(severity, code, dataset, message, file, field, int(count), shown)
        )

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.sorted())

    def sorted(self) -> tuple[Finding, ...]:
        """The worst first, then by place: the same order for the same folder, always."""
        return tuple(
            sorted(self._found, key=lambda finding: (finding.severity.rank, finding._place))
        )
