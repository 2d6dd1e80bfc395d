"""The headline table as HTML: sortable on the page, plain in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Unpack

from torchcross.records import Means, Records
from torchcross.report.cells import Column, SummaryCell
from torchcross.report.headline import (
    caption,
    cell_text,
    column_groups,
    column_heads,
    columns_of,
    last_rows,
    legend,
    printed_last_rows,
    printed_legend,
    target_text,
)
from torchcross.report.html import TableColumn, data_link, head_cell, scroll_box, series_key
from torchcross.report.inputs import Failure
from torchcross.report.markup import Markup, as_text, element, join
from torchcross.report.summarise import summarise
from torchcross.report.summary import Summary, TableOptions, TargetTask
from torchcross.report.tables import csv_of, latex_of, markdown_of


def headline_table(
    summary: Summary, series: Mapping[str, int], failures: Sequence[Failure] = ()
) -> Markup:
    """The sortable table with its legend."""
    foot = [
        element(
            "tr",
            element("th", name, scope="row"),
            *(element("td", text, class_="number") for text in cells),
        )
        for name, cells in last_rows(summary)
    ]
    table = element(
        "table",
        element("caption", caption(summary)),
        element("thead", *_head_rows(summary, series)),
        *_bodies(summary, failures),
        *([element("tfoot", *foot)] if foot else []),
        class_="sortable headline",
    )
    return join(
        [scroll_box(table, caption(summary)), element("p", legend(summary), class_="legend")]
    )


def table_links(summary: Summary) -> Markup:
    """The same table as files to download."""
    files = [
        ("LaTeX", latex_of(summary), "tex"),
        ("Markdown", markdown_of(summary), "md"),
        ("CSV", csv_of(summary), "csv"),
    ]
    links = [
        data_link(name, text.encode(), f"table.{end}", "text/plain;charset=utf-8")
        for name, text, end in files
    ]
    return element("p", "This table as ", join(links, ", "), ".", class_="soft")


def _head_rows(summary: Summary, series: Mapping[str, int]) -> list[Markup]:
    names = []
    columns = [
        (group.title, column) for group in column_groups(summary) for column in group.columns
    ]
    for place, (title, column) in enumerate(columns, 1):
        spoken = ", ".join(filter(None, (column[0], title)))
        names.append(
            head_cell(
                TableColumn(column[0], True),
                place,
                spoken,
                series_key(series[column[0]]),
                class_=_number_class(summary, column),
            )
        )
    if summary.is_published:
        return [element("tr", head_cell(TableColumn("target"), 0), *names)]
    groups = [
        element("th", group.title, scope="colgroup", colspan=len(group.columns), class_="span")
        for group in column_groups(summary)
    ]
    target = head_cell(TableColumn("target"), 0, rowspan=2)
    return [element("tr", target, *groups), element("tr", *names)]


def _number_class(summary: Summary, column: Column) -> str:
    """The first column of each number of shots has a line on its left."""
    first_columns = {group.columns[0] for group in column_groups(summary)}
    is_first = column in first_columns and not summary.is_published
    return "number first" if is_first else "number"


def _bodies(summary: Summary, failures: Sequence[Failure]) -> Iterator[Markup]:
    """One for each domain, and one for the targets that failed before they had any row."""
    groups = [(domain or "no domain", targets) for domain, targets in summary.domains.items()]
    scored = {"", *(target.name for target in summary.targets)}
    failed = dict.fromkeys(one.target for one in failures if one.target not in scored)
    if failed:
        groups.append(("nothing was scored", [TargetTask(name, "") for name in failed]))
    width = 1 + len(columns_of(summary))
    for title, targets in groups:
        rows = [_target_row(summary, target, failures) for target in targets]
        if summary.has_domains:
            head = element("th", title, colspan=width, scope="rowgroup")
            rows.insert(0, element("tr", head, class_="group"))
        yield element("tbody", *rows)


def _target_row(summary: Summary, target: TargetTask, failures: Sequence[Failure]) -> Markup:
    domain = [element("span", target.domain, class_="domain")] if target.domain else []
    head = element("th", target_text(summary, target), *domain, scope="row", data_value=target.name)
    cells = (_cell(summary, target, column, failures) for column in columns_of(summary))
    return element("tr", head, *cells)


def _cell(
    summary: Summary, target: TargetTask, column: Column, failures: Sequence[Failure]
) -> Markup:
    style = _number_class(summary, column)
    text = cell_text(summary, target, column)
    if text is None:
        reason = _failure_reason(failures, target.name, column)
        missing = element("abbr", "failed", title=reason) if reason else as_text("—")
        return element("td", missing, class_=style, data_value="")
    content = [as_text(text.mean)]
    if text.spread:
        content.append(element("span", f" ± {text.spread}", class_="unit"))
    grey = " once" if text.is_grey else ""
    content.append(element("span", text.sign, class_=f"tie{grey}"))
    if text.remark:
        content.append(element("small", f" {text.remark}", class_="unit"))
    cell = summary.cells[target.name, *column]
    mean = cell.interval.mean
    attributes = {"data_value": repr(mean) if isfinite(mean) else ""}
    if not summary.is_published:
        attributes["title"] = _cell_hint(summary, cell)
    mark = f" best{grey}" if text.is_best else ""
    return element("td", *content, class_=f"{style}{mark}", **attributes)


def _cell_hint(summary: Summary, cell: SummaryCell) -> str:
    interval, write = cell.interval, summary.notation.text
    bounds = f"{write(interval.low)} to {write(interval.high)}, " if isfinite(interval.low) else ""
    if cell.is_over_images:
        narrow = cell.episode_interval
        bounds = (
            f"{write(interval.low)} to {write(interval.high)} over images,"
            f" {write(narrow.low)} to {write(narrow.high)} over episodes of these images, "
        )
    note = f"; {interval.note}" if interval.note else ""
    once = "; one training each" if cell.one_training and (cell.is_best or cell.is_tied) else ""
    return f"{bounds}{interval.n} values, {interval.method}{note}{once}"


def _failure_reason(failures: Sequence[Failure], target: str, column: Column) -> str:
    algorithm, shots = column
    for failure in failures:
        if (
            failure.target in ("", target)
            and failure.algorithm in ("", algorithm)
            and failure.shots in (None, shots)
        ):
            return failure.reason
    return ""


# -- in a notebook ---------------------------------------------------------------------------------


def html_table(table: Records | Means, **options: Unpack[TableOptions]) -> str:
    """The headline table as a piece of HTML that needs no style sheet and no script.

    Its cells have the mean ± half the interval. The best is bold, its statistical ties have a
    dagger.
    """
    summary = summarise(table, **options)
    columns, heads = columns_of(summary), column_heads(summary)
    rows = [
        _notebook_row(
            domain if place == 0 else "",
            target_text(summary, target),
            [_notebook_cell(summary, target, column) for column in columns],
        )
        for domain, targets in summary.domains.items()
        for place, target in enumerate(targets)
    ]
    rows += [_notebook_row("", name, cells) for name, cells in printed_last_rows(summary)]
    names = (element("th", name, scope="col") for name in ("domain", "target", *heads))
    shown = element(
        "table",
        element("caption", caption(summary)),
        element("thead", element("tr", *names)),
        element("tbody", *rows),
    )
    return element("div", shown, element("p", element("small", printed_legend(summary))))


def _notebook_row(domain: str, target: str, cells: Sequence[str]) -> Markup:
    head = element("th", target, scope="row")
    return element("tr", element("td", domain), head, *(element("td", cell) for cell in cells))


def _notebook_cell(summary: Summary, target: TargetTask, column: Column) -> Markup:
    text = cell_text(summary, target, column)
    if text is None:
        return as_text("—")
    mean = element("strong", text.mean) if text.is_best else as_text(text.mean)
    if text.is_grey:
        # Page and style sheet are the notebook's: grey that is readable on light and dark.
        return element("span", mean, text.after_mean, style="color: #808080")
    return Markup(mean + as_text(text.after_mean))
