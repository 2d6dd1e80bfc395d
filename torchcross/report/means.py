"""A table of means alone, as somebody published it: the layout of the headline, without what means
cannot tell.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from math import isfinite

import numpy as np

from torchcross.records import Means
from torchcross.report.html import Head, data_link, head_cell, key, scrolled
from torchcross.report.markup import Markup, element, join
from torchcross.report.numbers import metric_name
from torchcross.report.text_escapes import latex_note, latex_text, markdown_text, one_line
from torchcross.statistics import Across, across_targets, lower_is_better

__all__ = [
    "csv_of_means",
    "latex_of_means",
    "markdown_of_means",
    "means_legend",
    "means_links",
    "means_table",
]

_MOST_DIGITS = 3


def means_table(means: Means, across: Across | None, series: Mapping[str, int]) -> Markup:
    """The table for the page, sortable, with its legend."""
    caption = f"{metric_name(means.metric) or 'Means'} by target, as given"
    buttons = [
        element("button", key(series[name]), name, type="button") for name in means.algorithms
    ]
    named = [
        element(
            "th",
            button,
            scope="col",
            class_="number",
            data_column=place,
            data_kind="number",
            data_name=name,
        )
        for place, (name, button) in enumerate(zip(means.algorithms, buttons, strict=True), 1)
    ]
    head = element("thead", element("tr", head_cell(Head("target"), 0), *named))
    foot = [
        element(
            "tr",
            element("th", name, scope="row"),
            *(element("td", text, class_="number") for text in cells),
        )
        for name, cells in _last_rows(means, across)
    ]
    bodies = [element("tbody", *_group(means, domain, rows)) for domain, rows in _by_domain(means)]
    inside = element(
        "table",
        element("caption", caption),
        head,
        *bodies,
        *([element("tfoot", *foot)] if foot else []),
        class_="sortable headline means",
    )
    return join([scrolled(inside, caption), element("p", means_legend(means), class_="legend")])


def means_links(means: Means) -> Markup:
    """The same table as files to download."""
    files = [
        ("LaTeX", latex_of_means(means), "tex"),
        ("Markdown", markdown_of_means(means), "md"),
        ("CSV", csv_of_means(means), "csv"),
    ]
    links = [
        data_link(name, text.encode(), f"table.{end}", "text/plain;charset=utf-8")
        for name, text, end in files
    ]
    return element("p", "This table as ", join(links, ", "), ".", class_="soft")


def latex_of_means(means: Means) -> str:
    width = len(means.algorithms)
    title = latex_text(metric_name(means.metric))
    lines = [
        "% For the package booktabs.",
        f"\\begin{{tabular}}{{l{'r' * width}}}",
        "\\toprule",
        " & ".join([title, *map(latex_text, means.algorithms)]) + r" \\",
        "\\midrule",
    ]
    for domain, rows in _by_domain(means):
        if domain:
            lines.append(
                f"\\multicolumn{{{width + 1}}}{{l}}{{\\textit{{{latex_text(domain)}}}}} \\\\"
            )
        for row in rows:
            cells = [
                _marked(text, best, r"\textbf{", "}") for text, best in _cells(means, row, "---")
            ]
            lines.append(
                " & ".join([("\\quad " if domain else "") + latex_text(means.targets[row]), *cells])
                + r" \\"
            )
    last = [
        " & ".join([name, *map(latex_text, cells)]) + r" \\"
        for name, cells in _last_rows(means, _across(means))
    ]
    return (
        "\n".join(
            [
                *lines,
                *(["\\midrule", *last] if last else []),
                "\\bottomrule",
                "\\end{tabular}",
                latex_note(means_legend(means)),
            ]
        )
        + "\n"
    )


def markdown_of_means(means: Means) -> str:
    has_domains = any(means.domains)
    first = ["domain"] if has_domains else []
    metric = metric_name(means.metric)
    heads = [
        *first,
        markdown_text(f"target: {metric}" if metric else "target"),
        *map(markdown_text, means.algorithms),
    ]
    ruler = ["---"] * (len(first) + 1) + ["---:"] * len(means.algorithms)
    lines = [_piped(heads), _piped(ruler)]
    for domain, rows in _by_domain(means):
        for place, row in enumerate(rows):
            shown = [markdown_text(domain) if place == 0 else ""] if has_domains else []
            cells = [_marked(text, best, "**", "**") for text, best in _cells(means, row, "—")]
            lines.append(_piped([*shown, markdown_text(means.targets[row]), *cells]))
    lines += [
        _piped([*("" for _ in first), name, *cells])
        for name, cells in _last_rows(means, _across(means))
    ]
    return "\n".join([*lines, "", one_line(means_legend(means))]) + "\n"


def csv_of_means(means: Means) -> str:
    """As `read_means` reads it: every digit, in the order of the table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    first = ["domain"] if any(means.domains) else []
    writer.writerow([*first, "target", *means.algorithms])
    for domain, target, row in zip(
        means.domains, means.targets, means.values.tolist(), strict=True
    ):
        writer.writerow(
            [*([domain] if first else []), target, *(repr(v) if isfinite(v) else "" for v in row)]
        )
    return text.getvalue()


def means_legend(means: Means) -> str:
    """What the signs mean, and what means cannot tell."""
    better = "smallest" if lower_is_better(means.metric) else "largest"
    return (
        "Means alone, as they were given: without scores of single episodes they have no"
        " intervals, and no algorithm can be called tied with the best of a row. Bold: the"
        f" {better} of its row. —: not given. The means and ranks of the last rows are over the"
        " targets that every algorithm has a mean of."
    )


def _across(means: Means) -> Across | None:
    return across_targets(means) if len(means.algorithms) > 1 else None


def _by_domain(means: Means) -> list[tuple[str, list[int]]]:
    """Rows by domain, domains and targets in the order of the table."""
    found: dict[str, list[int]] = {}
    for row, domain in enumerate(means.domains):
        found.setdefault(domain, []).append(row)
    return list(found.items())


def _digits(means: Means) -> int:
    """As many decimals as the table has; of means that were computed, those that papers give."""
    known = means.values[~np.isnan(means.values)]
    for digits in range(_MOST_DIGITS + 1):
        if np.abs(known - known.round(digits)).max(initial=0.0) < 1e-9:
            return digits
    return 1 if np.abs(known).max() >= 10 else _MOST_DIGITS


def _cells(means: Means, row: int, missing: str) -> Iterator[tuple[str, bool]]:
    """The texts of a row, and which is best; equal means are equally good."""
    values, digits = means.values[row], _digits(means)
    known = values[~np.isnan(values)]
    best = (known.min() if lower_is_better(means.metric) else known.max()) if len(known) else np.nan
    for value in values.tolist():
        yield (f"{value:.{digits}f}", value == best) if isfinite(value) else (missing, False)


def _last_rows(means: Means, across: Across | None) -> Iterator[tuple[str, list[str]]]:
    if across is None or not across.targets:
        return
    digits = max(_digits(means), 1)
    found = dict(zip(across.algorithms, zip(across.means, across.ranks, strict=True), strict=True))
    shown = [found.get(name) for name in means.algorithms]
    yield "mean of the targets", ["—" if one is None else f"{one[0]:.{digits}f}" for one in shown]
    yield "mean rank", ["—" if one is None else f"{one[1]:.2f}" for one in shown]


def _group(means: Means, domain: str, rows: Sequence[int]) -> Iterator[Markup]:
    if domain:
        width = 1 + len(means.algorithms)
        yield element("tr", element("th", domain, colspan=width, scope="rowgroup"), class_="group")
    for row in rows:
        target = means.targets[row]
        under = [element("span", domain, class_="domain")] if domain else []
        cells = [
            element(
                "td",
                text,
                class_="number best" if best else "number",
                data_value=repr(value) if isfinite(value) else "",
            )
            for (text, best), value in zip(
                _cells(means, row, "—"), means.values[row].tolist(), strict=True
            )
        ]
        yield element("tr", element("th", target, *under, scope="row", data_value=target), *cells)


def _marked(text: str, best: bool, before: str, after: str) -> str:
    return f"{before}{text}{after}" if best else text


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
