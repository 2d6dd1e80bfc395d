"""The headline table as a piece of HTML that needs no style and no script: what a notebook
shows.
"""

from __future__ import annotations

from torchcross.records import Records
from torchcross.report.markup import Markup, as_text, element
from torchcross.report.numbers import metric_title, score_text
from torchcross.report.summary import Episodes, Score, Summary, Target, short_name, summarise
from torchcross.report.tables import (
    dashed,
    mean_text,
    printed_legend,
    shots_title,
    sign_of,
    undefined_text,
)

__all__ = ["html_table"]


def html_table(
    records: Records,
    *,
    metric: str | None = None,
    level: float = 0.95,
    method: str = "t",
    episodes: Episodes | None = None,
) -> str:
    """The headline table as a piece of HTML: mean ± half the interval, best bold, its statistical
    ties daggered.
    """
    return _table(summarise(records, metric=metric, level=level, method=method, episodes=episodes))


def _table(summary: Summary) -> Markup:
    several = len(summary.shots) > 1
    heads = [
        f"{name}, {shots_title(shots)}" if several else name for name, shots in summary.columns
    ]
    rows = [
        _row(domain if place == 0 else "", short_name(target), _cells(summary, target))
        for domain, targets in summary.domains
        for place, target in enumerate(targets)
    ]
    rows.append(
        _row(
            "",
            "mean of the targets",
            [
                as_text(text)
                for text in dashed(
                    [score_text(summary.means[at], summary.metric) for at in summary.columns]
                )
            ],
        )
    )
    head = element(
        "tr", *(element("th", name, scope="col") for name in ("domain", "target", *heads))
    )
    shots = ", ".join(shots_title(level) for level in summary.shots)
    caption = element("caption", f"{metric_title(summary.metric)} by target, {shots}")
    shown = element("table", caption, element("thead", head), element("tbody", *rows))
    return element("div", shown, element("p", element("small", printed_legend(summary))))


def _row(domain: str, target: str, cells: list[Markup]) -> Markup:
    return element(
        "tr",
        element("td", domain),
        element("th", target, scope="row"),
        *(element("td", cell) for cell in cells),
    )


def _cells(summary: Summary, target: Target) -> list[Markup]:
    return [
        _cell(summary.scores.get((target.name, *column)), summary.metric)
        for column in summary.columns
    ]


def _cell(score: Score | None, metric: str) -> Markup:
    if score is None:
        return as_text("—")
    mean, spread = mean_text(score, metric)
    best = element("strong", mean) if score.is_best else as_text(mean)
    beside = f" {text}" if (text := undefined_text(score)) else ""
    return Markup(best + as_text((f" ± {spread}" if spread else "") + sign_of(score) + beside))
