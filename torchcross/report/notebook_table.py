"""The headline table as a piece of HTML for a notebook: no style sheet, no script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from torchcross.records import Means, Records
from torchcross.report.cells import Column
from torchcross.report.headline import (
    CellText,
    caption,
    cell_text,
    column_heads,
    columns_of,
    printed_legend,
    target_text,
)
from torchcross.report.last_rows import printed_last_rows
from torchcross.report.markup import Markup, as_text, element
from torchcross.report.summarise import summarise
from torchcross.report.summary import Summary, TableOptions, TargetTask


def html_table(table: Records | Means, **options: Unpack[TableOptions]) -> str:
    """The headline table as a piece of HTML that needs no style sheet and no script.

    Its cells have the mean ± half the interval. The best is bold, its statistical ties have a
    dagger.

    >>> from torchcross.records import EpisodeRecord, Records
    >>> from torchcross.report import html_table
    >>> row = EpisodeRecord("run", "ink/shape", "ink", "ncm", 5, 0, 0, "auroc", 0.75)
    >>> html = html_table(Records.of([row]))  # IPython.display.HTML(html) shows it
    >>> "<caption>AUROC (%) by target, 5 shots</caption>" in html
    True
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
    rows += [
        _notebook_row("", row.name, list(map(_notebook_text, row.cells)))
        for row in printed_last_rows(summary)
    ]
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
    return _notebook_text(text)


def _notebook_text(text: CellText) -> Markup:
    mean = element("strong", text.mean) if text.is_best else as_text(text.mean)
    if text.is_grey:
        # Page and style sheet are the notebook's: grey that is readable on light and dark.
        return element("span", mean, text.after_mean, style="color: #808080")
    return Markup(mean + as_text(text.after_mean))
