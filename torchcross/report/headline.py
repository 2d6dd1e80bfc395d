"""The first thing on the page: the table of the paper, sortable, with its legend and its
downloads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

from torchcross.report.html import Head, data_link, head_cell, key, scrolled
from torchcross.report.inputs import Failure
from torchcross.report.markup import Markup, as_text, element, join
from torchcross.report.numbers import metric_title, score_text
from torchcross.report.summary import Score, Summary, Target, short_name
from torchcross.report.tables import (
    csv_of,
    dashed,
    latex_of,
    legend,
    markdown_of,
    mean_text,
    shots_title,
    sign_of,
    undefined_text,
)

__all__ = ["headline_table", "table_links"]


def headline_table(
    summary: Summary, series: Mapping[str, int], failures: Sequence[Failure] = ()
) -> Markup:
    """The table with its legend."""
    caption = f"{metric_title(summary.metric)} by target, {_of_what(summary)}"
    bodies = [
        part
        for domain, targets in summary.domains
        for part in _domain(summary, domain, targets, failures)
    ]
    inside = element(
        "table",
        element("caption", caption),
        _heads(summary, series),
        *bodies,
        *_lost(summary, failures),
        _foot(summary),
        class_="sortable headline",
    )
    return join([scrolled(inside, caption), element("p", legend(summary), class_="legend")])


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


def _of_what(summary: Summary) -> str:
    return ", ".join(shots_title(shots) for shots in summary.shots)


def _heads(summary: Summary, series: Mapping[str, int]) -> Markup:
    target = head_cell(Head("target"), 0, rowspan=2)
    groups = [
        element(
            "th",
            shots_title(shots),
            scope="colgroup",
            colspan=len(summary.algorithms),
            class_="span",
        )
        for shots in summary.shots
    ]
    named = []
    for place, (algorithm, shots) in enumerate(summary.columns, 1):
        kind = "number first" if (place - 1) % len(summary.algorithms) == 0 else "number"
        button = element("button", key(series[algorithm]), algorithm, type="button")
        spoken = f"{algorithm}, {shots_title(shots)}"
        named.append(
            element(
                "th",
                button,
                scope="col",
                class_=kind,
                data_column=place,
                data_kind="number",
                data_name=spoken,
            )
        )
    return element("thead", element("tr", target, *groups), element("tr", *named))


def _domain(
    summary: Summary, domain: str, targets: Sequence[Target], failures: Sequence[Failure]
) -> list[Markup]:
    width = 1 + len(summary.columns)
    title = element(
        "tr", element("th", domain or "no domain", colspan=width, scope="rowgroup"), class_="group"
    )
    rows = [
        element(
            "tr",
            element(
                "th",
                short_name(target),
                element("span", domain, class_="domain"),
                scope="row",
                data_value=target.name,
            ),
            *(_cell(summary, target, column, failures) for column in summary.columns),
        )
        for target in targets
    ]
    return [element("tbody", title, *rows)]


def _lost(summary: Summary, failures: Sequence[Failure]) -> list[Markup]:
    """Targets that were to be here and have no row at all."""
    scored = {target.name for target in summary.targets}
    names = dict.fromkeys(
        failure.target for failure in failures if failure.target and failure.target not in scored
    )
    if not names:
        return []
    width = 1 + len(summary.columns)
    title = element(
        "tr", element("th", "nothing was scored", colspan=width, scope="rowgroup"), class_="group"
    )
    rows = [
        element(
            "tr",
            element("th", name, scope="row", data_value=name),
            *(_cell(summary, Target(name, ""), column, failures) for column in summary.columns),
        )
        for name in names
    ]
    return [element("tbody", title, *rows)]


def _cell(
    summary: Summary, target: Target, column: tuple[str, int], failures: Sequence[Failure]
) -> Markup:
    algorithm, shots = column
    kind = "number first" if algorithm == summary.algorithms[0] else "number"
    score = summary.scores.get((target.name, algorithm, shots))
    if score is None:
        reason = _reason(failures, target.name, algorithm, shots)
        shown = element("abbr", "failed", title=reason) if reason else as_text("—")
        return element("td", shown, class_=kind, data_value="")
    mean, spread = mean_text(score, summary.metric)
    value = score.interval.mean
    return element(
        "td",
        mean,
        *([element("span", f" ± {spread}", class_="unit")] if spread else []),
        element("span", sign_of(score), class_="tie"),
        *([element("small", f" {text}", class_="unit")] if (text := undefined_text(score)) else []),
        class_=f"{kind} best" if score.is_best else kind,
        data_value=repr(value) if isfinite(value) else "",
        title=_hint(score, summary.metric),
    )


def _hint(score: Score, metric: str) -> str:
    found = score.interval
    bounds = f"{score_text(found.low, metric)} to {score_text(found.high, metric)}"
    interval = f"{bounds}, " if isfinite(found.low) else ""
    return f"{interval}{found.n} values, {found.method}{f'; {found.note}' if found.note else ''}"


def _reason(failures: Sequence[Failure], target: str, algorithm: str, shots: int) -> str:
    return next(
        (
            failure.reason
            for failure in failures
            if failure.target in ("", target)
            and failure.algorithm in ("", algorithm)
            and failure.shots in (None, shots)
        ),
        "",
    )


def _foot(summary: Summary) -> Markup:
    rows = [
        _foot_row(
            "mean of the targets",
            dashed([score_text(summary.means[at], summary.metric) for at in summary.columns]),
        )
    ]
    ranks = [summary.rank_of(at) for at in summary.columns]
    if any(isfinite(rank) for rank in ranks):
        rows.append(
            _foot_row("mean rank", [f"{rank:.2f}" if isfinite(rank) else "—" for rank in ranks])
        )
    return element("tfoot", *rows)


def _foot_row(name: str, shown: Sequence[str]) -> Markup:
    return element(
        "tr",
        element("th", name, scope="row"),
        *(element("td", text, class_="number") for text in shown),
    )
