"""What an audit finds: one value per kind of problem and place, collected and never raised."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partialmethod
from itertools import islice
from typing import Any

SHOWN = 5
"""A finding keeps at most this many examples. Its count is of all."""


class Severity(StrEnum):
    """How bad a finding is.

    error: the files contradict each other, or subjects leak. warning: results may be wrong. note:
    good to know.
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
    """One kind of problem at one place.

    code      a name of the kind that does not change, for programs
    dataset   its id, or the name of its folder if it has no id; empty if it is about the root
    file      relative to the dataset's folder
    field     a key of info.yaml, a task or a column
    count     how many cases there are
    examples  some of them as text

    >>> from medimeta_adapter.audit import Finding, Severity
    >>> finding = Finding(Severity.ERROR, "subjects-across-splits", "oct", "2 subjects", count=2)
    >>> finding.severity.rank < Severity.WARNING.rank  # worse than a warning
    True
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
        """Return the finding as values of JSON."""
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


class Findings:
    """A growing collection of findings."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []

    def add(
        self,
        severity: Severity,
        code: str,
        dataset: str,
        message: str,
        *,
        file: str = "",
        field: str = "",
        count: int | None = None,
        examples: Collection[Any] | None = None,
    ) -> None:
        """Add a finding, unless its count is 0. The default count is the number of examples.

        Give all examples: the finding keeps the first few. Without count and examples, it counts 1.
        """
        if examples is None:
            examples = ()
            count = 1 if count is None else count
        elif count is None:
            count = len(examples)
        if count > 0:
            shown = tuple(map(str, islice(examples, SHOWN)))
            self._findings.append(
                Finding(severity, code, dataset, message, file, field, count, shown)
            )

    error = partialmethod(add, Severity.ERROR)
    warning = partialmethod(add, Severity.WARNING)
    note = partialmethod(add, Severity.NOTE)

    def in_order(self) -> tuple[Finding, ...]:
        """Return the worst first, then by place: the same order for the same folder, always."""
        return tuple(sorted(self._findings, key=_sort_key))

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.in_order())


def _sort_key(finding: Finding) -> tuple[int | str, ...]:
    place = (finding.dataset, finding.file, finding.field)
    return (finding.severity.rank, *place, finding.code, finding.message)
