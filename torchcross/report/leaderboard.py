"""The first screen: the answer in one paragraph, what must be known of it, and a leaderboard."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from torchcross._kit.counts import count_text
from torchcross.report.answer import answer_parts
from torchcross.report.headline import ONE_TRAINING, TIE, head_name
from torchcross.report.html import series_key
from torchcross.report.markup import Markup, as_text, element
from torchcross.report.numbers import p_text, shots_title
from torchcross.report.standings import Standing, standings
from torchcross.report.summary import Summary
from torchcross.statistics import Across


def answer_box(summary: Summary) -> Markup:
    """The paragraph with its caveats, to paste into a paper."""
    spans = [element("span", f"{part} ") for part in answer_parts(summary)]
    parts = [element("p", *spans, class_="answer")] if spans else []
    caveats = [*summary.caveats, *summary.remarks]
    if caveats:
        items = (element("li", caveat) for caveat in caveats)
        parts.append(element("ul", *items, class_="caveats"))
    return element("div", *parts, id="answer")


def leaderboard(summary: Summary, series: Mapping[str, int]) -> Markup:
    """A card for each number of shots at which algorithms are compared."""
    cards = [
        _card(summary, across, shots, series)
        for shots, across in summary.across.items()
        if across.targets
    ]
    return element("div", *cards, class_="cards") if cards else Markup()


def _card(summary: Summary, across: Across, shots: int | None, series: Mapping[str, int]) -> Markup:
    leader, *others = standings(across)
    names = ("algorithm", summary.notation.title or "mean", "behind", "p", "rank")
    heads = [
        element("th", name, scope="col", class_="number" if place else None)
        for place, name in enumerate(names)
    ]
    once = any(cell.one_training for key, cell in summary.cells.items() if key[2] == shots)
    rows = [_row(summary, leader, leader, series, once)]
    rows += [_row(summary, leader, each, series, once) for each in others]
    what = count_text(len(across.targets), "targets")
    what = what if len(across.targets) == 1 else f"mean of {what}"
    title = ", ".join(filter(None, (shots_title(shots), what)))
    return element(
        "table",
        element("caption", title),
        element("thead", element("tr", *heads)),
        element("tbody", *rows),
        class_="card",
    )


def _row(
    summary: Summary, leader: Standing, each: Standing, series: Mapping[str, int], once: bool
) -> Markup:
    write = summary.notation.text
    leads, has_test = each.is_first, isfinite(each.p)
    is_tied = not leads and has_test and not each.is_separate
    is_grey = once and (leads or is_tied)
    signs = "".join(sign for sign, applies in ((TIE, is_tied), (ONE_TRAINING, is_grey)) if applies)
    name = head_name(summary, each.name)
    behind = "" if leads else write(abs(leader.mean - each.mean), "—")
    style = "number once" if is_grey else "number"
    mean = as_text(write(each.mean, "—"))
    texts = (behind, p_text(each.p) if has_test else "", _rank_text(each))
    return element(
        "tr",
        element("th", series_key(series[each.name]), name, scope="row"),
        element(
            "td",
            element("strong", mean) if leads and isfinite(each.mean) else mean,
            signs,
            class_=style,
        ),
        *(element("td", text, class_="number") for text in texts),
    )


def _rank_text(each: Standing) -> str:
    return f"{each.rank:.2f}" if isfinite(each.rank) else "—"


def card_legend(summary: Summary) -> Markup:
    """What the columns of the cards are."""
    if not any(across.targets for across in summary.across.values()):
        return Markup()
    text = (
        "Behind: the distance to the first mean. p: Wilcoxon's signed ranks over targets against"
        " the first, after Holm's correction over all pairs. †: this test does not find it worse"
        " than the first. Rank: the mean rank over targets, 1 is the best."
    )
    return element("p", text, class_="soft")
