"""How well scores and distances rank the sources, beside simple rules that need none."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan, nan
from typing import Final

from torchcross.report.html import TableCell, TableColumn, note, sortable_table
from torchcross.report.markup import Markup, element, join
from torchcross.report.rank_strips import RankStrip, rank_strips
from torchcross.statistics import Interval
from torchcross.transfer.page.analysis import (
    StudyAnalysis,
    interval_ends,
    interval_text,
    number_text,
    p_text,
)
from torchcross.transfer.rankings import FEWEST_TARGETS, Judgement, RankingRow, stability
from torchcross.transfer.rankings.row import STATIC
from torchcross.transfer.results import SETUPS

TAU: Final = "weighted tau"
_LEGEND: Final = {
    "weighted tau": (
        "Kendall's tau in which pairs count more the higher their members rank: 1 is the order of"
        " the values, 0 none. `tau-b` counts all pairs alike."
    ),
    "regret@1": "the best value of a target, less that of the source that is ranked first.",
    "Rel@1": "the value of the source that is ranked first, divided by the best one.",
    "Recall@1": "how often the source that is ranked first is the best one.",
    "p of shuffles": (
        "how often scores that are shuffled within each target have a mean weighted tau as large."
    ),
    "tau without one source, target": "the least and the largest mean where one is left out.",
    "less static": (
        "the weighted tau less that of the static rule, on the pairs that both rank, paired over"
        " targets; p is corrected by Holm's method over the scores."
    ),
    "rules": (
        "static: the source that is best on the other targets; random: any source; largest: by the"
        " number of images that a source was learned from; always: one source for every target."
        " They need no score, and a score must beat them."
    ),
}


def ranking_section(analysis: StudyAnalysis) -> Iterator[Markup]:
    judgement = analysis.judgement
    if judgement is None:
        yield note("Nothing ranks the sources here: there is no score, or no third source.")
        yield from _stability(analysis)
        return
    yield _figure(judgement)
    yield _table(judgement)
    if analysis.contents.largest is None and analysis.contents.sizes is None:
        yield note(
            "The rule that always takes the largest source is not in the table: nobody said which"
            " source that is."
        )
    # How few targets there are, and which rule is missing, stands above.
    ours = ("no inference over targets", "the rule that takes the largest source")
    warnings = [text for text in judgement.warnings if not any(words in text for words in ours)]
    if warnings:
        items = [element("li", f"{text}.") for text in warnings]
        yield element("ul", *items, class_="legend")
    yield from _stability(analysis)
    pairs = []
    for name, text in _LEGEND.items():
        pairs += [element("dt", name), element("dd", _plain(text))]
    words = element("summary", "What the columns mean")
    yield element("details", words, element("dl", *pairs, class_="choices"))


def _stability(analysis: StudyAnalysis) -> Iterator[Markup]:
    """How alike the sources are ordered on other folds, and by other training seeds."""
    results, items = analysis.contents.results, []
    for component in SETUPS:
        tables = {
            name: table.without_self_pairs() for name, table in results.setups(component).items()
        }
        if len(tables) > 1:
            items.append(element("li", f"{component} against {component}: {stability(tables)}."))
    if items:
        yield element("h3", "How stable the order of the sources is")
        yield element("ul", *items)


def _plain(text: str) -> str:
    return text.replace("`", "")


def _figure(judgement: Judgement) -> Markup:
    strips = [
        RankStrip(
            _row_name(row),
            {ranking.target: ranking.measures[TAU].value for ranking in row.targets},
            row.means[TAU].mean,
            *interval_ends(row.means[TAU], FEWEST_TARGETS),
            3 if row.is_rule else 0,
        )
        for row in judgement.rows
        if not isnan(row.means[TAU].mean)
    ]
    if not strips:
        return Markup()
    description = "Weighted tau of each score and rule: " + "; ".join(
        f"{strip.name} {strip.mean:.2f}" for strip in strips
    )
    static = judgement.row(STATIC).means[TAU].mean
    image = rank_strips(description, TAU, strips, (-1.0, 1.0), static)
    caption = element(
        "figcaption",
        "Weighted tau of each target (dots), and the mean over targets, with its 95 % interval"
        f" where there are {FEWEST_TARGETS} of them. The dotted line is the static rule. A row of"
        " equal scores has no tau.",
    )
    return element(
        "figure", caption, element("div", image, class_="scroll wide unscaled", tabindex=0)
    )


def _row_name(row: RankingRow) -> str:
    return f"{row.name} (rule)" if row.is_rule else row.name


def _table(judgement: Judgement) -> Markup:
    others = [name for name in judgement.rows[0].means if name != TAU]
    names = [
        *("pairs", TAU, "p of shuffles", "less static", "p against static"),
        *others,
        *("tau without one source", "tau without one target"),
    ]
    columns = [TableColumn("score or rule")]
    columns += [TableColumn(name, is_number=True) for name in names]
    rows = [_row(row, others) for row in judgement.rows]
    return sortable_table("Rankings of the sources, mean over targets", columns, rows)


def _row(row: RankingRow, others: list[str]) -> list[TableCell | str]:
    against = row.against_static
    cells: list[TableCell | str] = [_row_name(row), TableCell(str(row.pairs), row.pairs)]
    cells.append(_interval_cell(row.means[TAU]))
    cells.append(TableCell(p_text(row.permutation_p), row.permutation_p))
    if against is None:
        cells += [TableCell("", nan), TableCell("", nan)]
    else:
        cells.append(_interval_cell(against.difference.interval, "+"))
        cells.append(TableCell(p_text(against.p), against.p))
    cells += [_interval_cell(row.means[name]) for name in others]
    return [*cells, _range_cell(row.without_one_source), _range_cell(row.without_one_target)]


def _interval_cell(interval: Interval, sign: str = "") -> TableCell:
    return TableCell(interval_text(interval, 3, sign, FEWEST_TARGETS), interval.mean)


def _range_cell(ends: tuple[float, float]) -> TableCell:
    low, high = ends
    if isnan(low):
        return TableCell("—", nan)
    return TableCell(join([number_text(low, 2), " to ", number_text(high, 2)]), low)
