"""Prints a report: tables and colours in a terminal, the same words as plain text elsewhere."""

from __future__ import annotations

from io import StringIO

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from medimeta_adapter.audit.findings import Finding, Severity
from medimeta_adapter.audit.report import AuditReport, DatasetSummary
from medimeta_adapter.audit.shots import TaskShots
from medimeta_adapter.format.splits import SPLITS
from torchcross._kit.counts import count_text
from torchcross._kit.listing_table import listing_table
from torchcross.messages import printable

_WIDTH = 120
_INDENT = " " * 9
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
_UNKNOWN = "–"


def as_text(report: AuditReport, width: int = _WIDTH) -> str:
    """Return the report as text without colours."""
    console = Console(
        file=StringIO(), width=width, color_system=None, force_terminal=False, highlight=False
    )
    with console.capture() as captured:
        console.print(render_report(report))
    text = printable(captured.get())
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def render_report(report: AuditReport) -> RenderableType:
    """Return the report for `Console.print` of rich."""
    parts: list[RenderableType] = []
    if report.datasets:
        parts += [_datasets_table(report), Text(), _tasks_table(report), Text()]
    parts += _finding_lines(report)
    parts.append(Text())
    parts += [Text(f"{name}: {extent}", style="dim") for name, extent in report.looked_at.items()]
    parts.append(_verdict(report))
    return Group(*parts)


def _datasets_table(report: AuditReport) -> Table:
    numbers = ("size", "images", *SPLITS, "subjects")
    table = listing_table("Datasets", "dataset", "domain", *numbers, "licence", right=numbers)
    for dataset in report.datasets:
        row = (
            dataset.id,
            dataset.domain,
            "x".join(map(str, dataset.size)),
            _number(dataset.samples),
            *(_number(dataset.splits.get(split)) for split in SPLITS),
            _number(dataset.subjects),
            _licence(dataset),
        )
        table.add_row(*map(escape, row))
    return table


def _number(count: int | None) -> str:
    return _UNKNOWN if count is None else f"{count:,}"


def _licence(dataset: DatasetSummary) -> str:
    terms = f" ({', '.join(dataset.terms)})" if dataset.terms else ""
    return (dataset.licence or "none named") + terms


def _tasks_table(report: AuditReport) -> Table:
    usable = f"classes for {report.shots}"
    table = listing_table(
        f"Tasks: the most shots per class beside {report.queries} queries per class, by counting",
        *("dataset", "task", "kind", "shots", usable, "scarcest class (images)", "by subject"),
        right=("shots", usable),
    )
    for dataset in report.datasets:
        for task in dataset.tasks:
            table.add_row(*map(escape, (dataset.id, *_task_row(task, report.shots))))
    return table


def _task_row(task: TaskShots, shots: int) -> tuple[str, ...]:
    scarcest = task.scarcest
    images = f"{scarcest.samples:,}"
    if scarcest.rarer != scarcest.samples:
        images += f", rarer answer {scarcest.rarer:,}"
    most_shots = "none" if task.shots < 0 else f"{task.shots:,}"
    return (
        task.task,
        task.kind,
        most_shots,
        f"{task.usable(shots)} of {len(task.classes)}",
        f"{scarcest.name} ({images})",
        "yes" if task.by_subject else _UNKNOWN,
    )


def _finding_lines(report: AuditReport) -> list[Text]:
    if not report.findings:
        return [Text("No problems were found.")]
    lines = [Text("Findings", style="bold")]
    for finding in report.findings:
        lines += _lines_of(finding)
    return lines


def _lines_of(finding: Finding) -> list[Text]:
    place = " / ".join(filter(None, (finding.dataset, finding.file, finding.field)))
    message = finding.message.replace("\n", f"\n{_INDENT}")
    if finding.count > 1 or finding.examples:
        message += f" [{finding.count:,}]"
    head = (f"{finding.severity:<7}", _STYLES[finding.severity])
    lines = [Text.assemble(head, "  ", (place or "the root", "bold"), f": {message}")]
    if finding.examples:
        more = ", ..." if finding.count > len(finding.examples) else ""
        lines.append(Text(f"{_INDENT}{', '.join(finding.examples)}{more}", style="dim"))
    return lines


def _verdict(report: AuditReport) -> Text:
    """Return the last line: `2 datasets, 5 tasks, 300 images: 1 error, 2 warnings, 3 notes`."""
    counts = [count_text(count, name) for name, count in report.counts.items()]
    style = _STYLES[Severity.ERROR] if report.errors else "bold green"
    return Text(f"{', '.join(counts[:3])}: {', '.join(counts[3:])}", style=style)
