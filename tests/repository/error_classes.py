"""Where classes of errors and warnings are defined, and which of them a user never meets."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence

from tests.repository.sources import Source, Violation

ERRORS = "torchcross/errors.py"
INTERNAL = {
    "CannotLoadError": "a check of another process catches it and says what it means",
    "InterruptWithAdvice": "Ctrl-C, which the command line catches",
    "ReadingStopped": "a signal, which a training catches between two steps",
    "Unreachable": "whoever fetches catches it and raises a FetchError with advice",
    "WorkerEnded": "an engine of jobs raises it, and the job makes a UnitFailure of it",
}
"""Classes outside `torchcross.errors`, and why a user of the library gets none."""


def errors_elsewhere(sources: Sequence[Source]) -> Iterator[Violation]:
    """Yield the classes of exceptions that are defined elsewhere than in `torchcross.errors`."""
    classes = [
        (source.name, node)
        for source in sources
        for node in source.nodes
        if isinstance(node, ast.ClassDef)
    ]
    exceptions = {name for name, value in vars(builtins).items() if _is_exception(value)}
    count = 0
    while count < len(exceptions):
        count = len(exceptions)
        exceptions |= {node.name for _, node in classes if exceptions & set(_bases(node))}
    for file, node in classes:
        if node.name in exceptions and file != ERRORS and node.name not in INTERNAL:
            yield Violation(file, node.lineno, f"{node.name} belongs into {ERRORS}")


def _bases(node: ast.ClassDef) -> Iterator[str]:
    for base in node.bases:
        if isinstance(base, ast.Name):
            yield base.id
        elif isinstance(base, ast.Attribute):
            yield base.attr


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)
