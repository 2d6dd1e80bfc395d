"""A report for people: tables where there is a terminal, the same words in plain text where there
is none.
"""

from __future__ import annotations

from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from medimeta_adapter.audit.findings import Finding, Severity
from medimeta_adapter.audit.report import AuditReport, DatasetSummary
from medimeta_adapter.audit.shots import TaskShots

__all__ = ["as_text", "rendered"]

_WIDTH = 120
_INDENT = " " * 9
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def as_text(report: AuditReport, width: int = _WIDTH) -> str:
    """The report without colours."""
    console = Console(
        file=StringIO(), width=width, color_system=None, force_terminal=False, highlight=False
    )
    with console.capture() as captured:
        console.print(rendered(report))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def rendered(report: AuditReport) -> RenderableType:
    """For rich's Console.print."""
    parts: list[RenderableType] = []
    if report.datasets:
        parts += [_datasets(report), Text(), _tasks(report), Text()]
    parts += [_findings(report), Text(), _looked_at(report), _verdict(report)]
    return Group(*parts)


def _table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in columns:
        number = column in right
        table.add_column(
            column, justify="right" if number else "left", no_wrap=number, overflow="fold"
        )
    return table


def _datasets(report: AuditReport) -> Table:
    numbers = ("images", "train", "val", "test", "subjects")
    table = _table(
        "What is there", "dataset", "domain", "size", *numbers, "licence", right=("size", *numbers)
    )
    for dataset in report.datasets:
        channels, height, width = dataset.size
        splits = [
            f"{dataset.splits[name]:,}" if name in dataset.splits else "–"
            for name in ("train", "val", "test")
        ]
        subjects = "–" if dataset.subjects is None else f"{dataset.subjects:,}"
        size = f"{channels}x{height}x{width}"
        row = (
            dataset.id,
            dataset.domain,
            size,
            f"{dataset.samples:,}",
            *splits,
            subjects,
            _licence(dataset),
        )
        table.add_row(*map(escape, row))
    return table


def _licence(dataset: DatasetSummary) -> str:
    terms = f" ({', '.join(dataset.terms)})" if dataset.terms else ""
    return (dataset.licence or "none named") + terms


def _tasks(report: AuditReport) -> Table:
    title = (
        f"What it allows: the most shots per class beside {report.queries} queries per class, by"
        " counting"
    )
    usable = f"classes for {report.shots}"
    table = _table(
        title,
        "dataset",
        "task",
        "kind",
        "shots",
        usable,
        "scarcest class (images)",
        "by subject",
        right=("shots", usable),
    )
    for dataset in report.datasets:
        for task in dataset.tasks:
            table.add_row(*map(escape, (dataset.id, *_task_row(task, report.shots))))
    return table


def _task_row(task: TaskShots, shots: int) -> tuple[str, ...]:
    scarcest = task.scarcest
    rarer = "" if scarcest.rarer == scarcest.samples else f", rarer answer {scarcest.rarer:,}"
    kept = "yes" if task.by_subject else "–"
    most = "none" if task.shots < 0 else f"{task.shots:,}"
    usable = f"{task.usable(shots)} of {len(task.classes)}"
    return (
        task.task,
        task.kind,
        most,
        usable,
        f"{scarcest.name} ({scarcest.samples:,}{rarer})",
        kept,
    )


def _findings(report: AuditReport) -> RenderableType:
    if not report.findings:
        return Text("Nothing was found.")
    lines = [Text("What was found", style="bold")]
    for finding in report.findings:
        lines += _told(finding)
    return Group(*lines)


def _told(finding: Finding) -> list[Text]:
    place = (
        " / ".join(part for part in (finding.dataset, finding.file, finding.field) if part)
        or "the root"
    )
    times = f" [{finding.count:,}]" if finding.count > 1 or finding.examples else ""
    message = finding.message.replace("\n", f"\n{_INDENT}")
    line = Text.assemble(
        (f"{finding.severity:<7}", _STYLES[finding.severity]),
        "  ",
        (place, "bold"),
        f": {message}{times}",
    )
    more = ", ..." if finding.count > len(finding.examples) > 0 else ""
    examples = (
        [Text(f"{_INDENT}{', '.join(finding.examples)}{more}", style="dim")]
        if finding.examples
        else []
    )
    return [line, *examples]


def _looked_at(report: AuditReport) -> Group:
    lines = [Text(f"{name}: {how}", style="dim") for name, how in report.looked_at.items()]
    return Group(*lines)


def _verdict(report: AuditReport) -> Text:
    counts = report.counts
    had = ", ".join(_counted(counts[name], name) for name in ("datasets", "tasks", "images"))
    found = ", ".join(_counted(counts[name], name) for name in ("errors", "warnings", "notes"))
    style = _STYLES[Severity.ERROR] if report.errors else "bold green"
    return Text(f"{had}: {found}", style=style)


def _counted(count: int, plural: str) -> str:
    return f"{count:,} {plural.removesuffix('s') if count == 1 else plural}"
