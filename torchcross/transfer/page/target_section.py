"""Each target by itself: its sources, what they reached, and what was known of them."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan, nan

from torchcross._kit.counts import count_text
from torchcross.report.html import TableCell, TableColumn, sortable_table
from torchcross.report.markup import Markup, element
from torchcross.statistics import Interval
from torchcross.transfer.page.analysis import Pair, StudyAnalysis, interval_text, number_text
from torchcross.transfer.page.words import baseline_words, metric_words
from torchcross.transfer.source_target import SourceTargetTable, is_self_pair


def target_section(analysis: StudyAnalysis) -> Iterator[Markup]:
    for number, target in enumerate(analysis.matrix.targets):
        known = [name for name in analysis.matrix.sources if (name, target) in analysis.values]
        size = element("span", f" {count_text(len(known), 'sources')}", class_="soft")
        heading = element("summary", target, size)
        yield element("details", heading, _table(analysis, target), open=not number)


def _table(analysis: StudyAnalysis, target: str) -> Markup:
    contents = analysis.contents
    names = [metric_words(contents)]
    if contents.baseline:
        words = baseline_words(contents)
        names += [f"gain over {words}, %", f"difference to {words}"]
    known = {
        **{name: item.mean for name, item in contents.distances.items()},
        **contents.scores,
    }
    columns = [TableColumn("source")]
    columns += [TableColumn(name, is_number=True) for name in ("rank", *names, *known)]
    order = sorted(
        analysis.matrix.sources, key=lambda source: _sort_key(analysis, (source, target))
    )
    ranks = _ranks(analysis, target, order)
    rows = []
    for source in order:
        pair = source, target
        row: list[TableCell | str] = [source + ("†" if is_self_pair(source, target) else "")]
        row.append(_rank_cell(ranks.get(source, nan)))
        row.append(_interval_cell(analysis.values.get(pair)))
        if contents.baseline:
            row.append(_interval_cell(analysis.heights.get(pair), 1, "+"))
            row.append(_interval_cell(analysis.differences.get(pair), 3, "+"))
        row += [_known_cell(table, pair) for table in known.values()]
        rows.append(row)
    return sortable_table(f"Sources of {target}, the best first", columns, rows)


def _sort_key(analysis: StudyAnalysis, pair: Pair) -> float:
    return -analysis.values[pair].mean if pair in analysis.values else float("inf")


def _ranks(analysis: StudyAnalysis, target: str, order: list[str]) -> dict[str, float]:
    """1 for the best source; equal values share the mean of their ranks."""
    shares = {
        source: analysis.rank_shares[source, target]
        for source in order
        if (source, target) in analysis.rank_shares
    }
    return {source: 1 + share * (len(shares) - 1) for source, share in shares.items()}


def _rank_cell(rank: float) -> TableCell:
    return TableCell("—" if isnan(rank) else f"{rank:g}", rank)


def _interval_cell(interval: Interval | None, digits: int = 3, sign: str = "") -> TableCell:
    if interval is None:
        return TableCell("—", nan)
    return TableCell(interval_text(interval, digits, sign), interval.mean)


def _known_cell(table: SourceTargetTable, pair: Pair) -> TableCell:
    source, target = pair
    if source not in table.sources or target not in table.targets:
        return TableCell("—", nan)
    return TableCell(number_text(table[pair]), table[pair])
