"""The headline table as HTML: sortable on the page, plain in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from typing import Final

from torchcross.report.cells import Column, SummaryCell
from torchcross.report.failed_rows import targets_without_rows
from torchcross.report.headline import (
    CellText,
    ColumnGroup,
    caption,
    cell_text,
    column_groups,
    column_title,
    columns_of,
    head_name,
    legend,
    target_text,
)
from torchcross.report.html import TableColumn, data_link, head_cell, scroll_box, series_key
from torchcross.report.inputs import Failure
from torchcross.report.last_rows import last_rows
from torchcross.report.markup import Markup, as_text, element, join
from torchcross.report.numbers import shots_title
from torchcross.report.summary import Summary, TargetTask
from torchcross.report.tables import csv_of, latex_of, markdown_of

_TARGET: Final = TableColumn("target")
_MOST_ON_PAPER: Final = 5
"""Columns of numbers that fit beside the target on a portrait page of A4 or Letter."""


def headline_table(
    summary: Summary, series: Mapping[str, int], episodes: Mapping[str, str] | None = None
) -> Markup:
    """The sortable table with its legend, and the same for paper, where that is narrower.

    `episodes` has the place of each target's episodes in the page: cells lead to it.
    """
    links = episodes or {}
    groups = column_groups(summary)
    table = element(
        "table",
        element("caption", caption(summary)),
        element("thead", *_head_rows(summary, groups, series)),
        *_bodies(summary, groups, links),
        *_foot(summary, groups),
        class_="sortable headline",
    )
    sheets = _sheets(summary, groups)
    parts = [
        element("div", scroll_box(table, caption(summary)), class_="screen" if sheets else None)
    ]
    parts += [_sheet(summary, series, sheet) for sheet in sheets]
    return join([*parts, element("p", _page_legend(summary), class_="legend")])


def _page_legend(summary: Summary) -> str:
    text = legend(summary)
    if any(across.diagram for across in summary.across.values()) and not summary.is_published:
        text += " Of mean ranks, † is what Nemenyi's test does not separate from the best."
    return text


def _foot(summary: Summary, groups: Sequence[ColumnGroup]) -> list[Markup]:
    every, shown = columns_of(summary), [column for group in groups for column in group.columns]
    rows = []
    for row in last_rows(summary):
        cells = dict(zip(every, row.cells, strict=True))
        shown_cells = (_last_cell(summary, cells[column], column) for column in shown)
        rows.append(element("tr", element("th", row.name, scope="row"), *shown_cells))
    return [element("tfoot", *rows)] if rows else []


def _last_cell(summary: Summary, text: CellText, column: Column) -> Markup:
    grey = " once" if text.is_grey else ""
    mark = f" best{grey}" if text.is_best else ""
    sign = element("span", text.sign, class_=f"tie{grey}")
    style = f"{_number_class(summary, column)}{mark}"
    return element("td", text.mean, sign, class_=style, data_label=column_title(summary, column))


def _sheets(summary: Summary, groups: Sequence[ColumnGroup]) -> list[tuple[ColumnGroup, ...]]:
    """The groups of columns of each table on paper; none where the whole table fits."""
    if sum(len(group.columns) for group in groups) <= _MOST_ON_PAPER:
        return []
    sheets: list[tuple[ColumnGroup, ...]] = []
    for group in groups:
        count = -(-len(group.columns) // _MOST_ON_PAPER)
        size = -(-len(group.columns) // count) if count else 1
        sheets += [
            (ColumnGroup(group.title, group.columns[at : at + size]),)
            for at in range(0, len(group.columns), size)
        ]
    return sheets


def _sheet(summary: Summary, series: Mapping[str, int], groups: Sequence[ColumnGroup]) -> Markup:
    """A table for paper alone: no button, and one number of shots."""
    title = ", ".join(filter(None, (summary.notation.title, groups[0].title)))
    return element(
        "table",
        element("caption", f"{title}, by target"),
        element("thead", *_head_rows(summary, groups, series, is_paper=True)),
        *_bodies(summary, groups, {}),
        *_foot(summary, groups),
        class_="sheet paper",
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
    return element("p", "This table as ", join(links, ", "), ".", class_="soft download")


def _head_rows(
    summary: Summary,
    groups: Sequence[ColumnGroup],
    series: Mapping[str, int],
    *,
    is_paper: bool = False,
) -> list[Markup]:
    names = []
    columns = [column for group in groups for column in group.columns]
    for place, column in enumerate(columns, 1):
        name, key = head_name(summary, column[0]), series_key(series[column[0]])
        style = _number_class(summary, column)
        if is_paper:
            names.append(element("th", key, name, scope="col", class_=style))
            continue
        about = {"data_algorithm": column[0], "data_shots": str(column[1])}
        if title := shots_title(column[1]):
            about["data_group"] = title
        spoken = column_title(summary, column)
        head = TableColumn(name, is_number=True)
        names.append(head_cell(head, place, spoken, key, class_=style, **about))
    if summary.is_published:
        first = element("th", "target", scope="col") if is_paper else head_cell(_TARGET, 0)
        return [element("tr", first, *names)]
    spans = [
        element("th", group.title, scope="colgroup", colspan=len(group.columns), class_="span")
        for group in groups
    ]
    first = element("th", "target", scope="col", rowspan=2)
    if not is_paper:
        first = head_cell(_TARGET, 0, rowspan=2)
    return [element("tr", first, *spans), element("tr", *names)]


def _number_class(summary: Summary, column: Column) -> str:
    """The first column of each number of shots has a line on its left."""
    first_columns = {group.columns[0] for group in column_groups(summary)}
    is_first = column in first_columns and not summary.is_published
    return "number first" if is_first else "number"


def _bodies(
    summary: Summary, column_groups: Sequence[ColumnGroup], links: Mapping[str, str]
) -> Iterator[Markup]:
    """One for each domain, and one for the targets that failed before they had any row."""
    groups = [(domain or "no domain", targets) for domain, targets in summary.domains.items()]
    if failed := targets_without_rows(summary):
        groups.append(("nothing was scored", [TargetTask(name, "") for name in failed]))
    columns = [column for group in column_groups for column in group.columns]
    for title, targets in groups:
        rows = [_target_row(summary, target, columns, links) for target in targets]
        if summary.has_domains:
            head = element("th", title, colspan=1 + len(columns), scope="rowgroup")
            rows.insert(0, element("tr", head, class_="group"))
        yield element("tbody", *rows)


def _target_row(
    summary: Summary, target: TargetTask, columns: Sequence[Column], links: Mapping[str, str]
) -> Markup:
    about = [element("span", target.domain, class_="domain")] if target.domain else []
    if classes := summary.classes_left_out.get(target.name):
        about.append(element("small", f"without {', '.join(classes)}"))
    head = element("th", target_text(summary, target), *about, scope="row", data_value=target.name)
    cells = (_cell(summary, target, column, links) for column in columns)
    return element("tr", head, *cells)


def _cell(summary: Summary, target: TargetTask, column: Column, links: Mapping[str, str]) -> Markup:
    style = _number_class(summary, column)
    name = column_title(summary, column)
    text = cell_text(summary, target, column)
    if text is None:
        reason = _failure_reason(summary.failures, target.name, column)
        missing = element("abbr", "failed", title=reason) if reason else as_text("—")
        return element("td", missing, class_=style, data_value="", data_label=name)
    mean = as_text(text.mean)
    if place := links.get(target.name):
        mean = element("a", text.mean, href=f"#{place}")
    content = [mean]
    if text.spread:
        content.append(element("span", f" ± {text.spread}", class_="unit"))
    grey = " once" if text.is_grey else ""
    content.append(element("span", text.sign, class_=f"tie{grey}"))
    if text.remark:
        content.append(element("small", f" {text.remark}", class_="unit"))
    cell = summary.cells[target.name, *column]
    score = cell.interval.mean
    attributes = {"data_value": repr(score) if isfinite(score) else "", "data_label": name}
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
