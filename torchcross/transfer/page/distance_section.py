"""Distances and scores against what the sources reached, and their correlations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isnan, nan
from typing import Final

from torchcross._kit.counts import count_text
from torchcross.report.html import TableCell, TableColumn, note, series_keys, sortable_table
from torchcross.report.labelled_points import MOST_LABELS, SMALL, LabelledPoint, scatter_plot
from torchcross.report.markup import Markup, element, join
from torchcross.transfer.page.analysis import (
    StudyAnalysis,
    interval_ends,
    interval_text,
    number_text,
    p_text,
)
from torchcross.transfer.page.contents import PairDistances
from torchcross.transfer.page.lacking_correlations import lacking_correlation_lines
from torchcross.transfer.page.words import height_words, short_names
from torchcross.transfer.rankings import Correlation
from torchcross.transfer.source_target import is_self_pair

_MOST_OPEN: Final = 6
_DIGITS: Final = 4
_FEWEST_POINTS: Final = 2


def distance_section(analysis: StudyAnalysis) -> Iterator[Markup]:
    contents = analysis.contents
    tables = {
        **contents.distances,
        **{name: PairDistances.of_one_draw(item) for name, item in contents.scores.items()},
    }
    if not tables:
        yield note("No distance and no score is known.")
        return
    yield _correlations(analysis)
    for number, (name, distances) in enumerate(tables.items()):
        is_distance = name in contents.distances
        content = _plots(analysis, name, distances)
        kind = "distance, small is close" if is_distance else "score, large is good"
        summary = element("summary", name, element("span", f" ({kind})", class_="soft"))
        yield element("details", summary, *content, open=is_distance or number == 0)


def _plots(analysis: StudyAnalysis, name: str, distances: PairDistances) -> Iterator[Markup]:
    targets = analysis.matrix.targets
    by_target = {
        target: _points(analysis, distances, target, series)
        for series, target in enumerate(targets)
    }
    points = [point for listed in by_target.values() for point in listed]
    if not points:
        yield note(f"No pair has both a value and {name}.")
        return
    if len(points) < _FEWEST_POINTS:
        yield note(f"One pair has both a value and {name} ({points[0].hint}): nothing to plot.")
        return
    height, is_gain = height_words(analysis.contents), bool(analysis.contents.baseline)
    caption = f"{height} against {name}: {count_text(len(points), 'pairs')}, by target"
    image = scatter_plot(caption, name, height, points, zero=is_gain)
    yield element(
        "figure",
        element("figcaption", caption, _interval_words(points)),
        series_keys([(target, series) for series, target in enumerate(targets)]),
        element("div", image, class_="scroll wide unscaled", tabindex=0),
    )
    yield from _within_targets(analysis, name, by_target)


def _within_targets(
    analysis: StudyAnalysis, name: str, by_target: Mapping[str, list[LabelledPoint]]
) -> Iterator[Markup]:
    height, is_gain = height_words(analysis.contents), bool(analysis.contents.baseline)
    tasks = analysis.contents.tasks.get(name)
    floors = {} if tasks is None else tasks.floors
    plots = []
    for target, listed in by_target.items():
        if len(listed) >= _FEWEST_POINTS:
            text = f"{target}: {height} against {name}"
            floor = floors.get(target, nan)
            plot = scatter_plot(text, name, height, listed, SMALL, zero=is_gain, x_line=floor)
            title = element("figcaption", element("strong", target))
            plots.append(element("figure", title, plot))
    if not plots:
        return
    grid = element("div", *plots, class_="many")
    if floors:
        words = f"Left of the dotted line, the noise floor of the target, {name} says nothing."
        grid = join([element("p", words, class_="legend"), grid])
    if len(plots) <= _MOST_OPEN:
        yield element("h3", "Within each target")
        yield grid
        return
    is_open = sum(map(len, by_target.values())) > MOST_LABELS
    yield element("details", element("summary", "Within each target"), grid, open=is_open)


def _interval_words(points: Sequence[LabelledPoint]) -> str:
    words = "."
    if any(point.low_y < point.high_y for point in points):
        words += " Vertical whiskers are 95 % intervals over folds."
    if any(point.low_x < point.high_x for point in points):
        words += " Horizontal whiskers reach from the least to the largest draw."
    return f"{words} Point at a mark to read its name and numbers."


def _points(
    analysis: StudyAnalysis, distances: PairDistances, target: str, series: int
) -> list[LabelledPoint]:
    mean, low, high = distances.mean, distances.low, distances.high
    points = []
    shorts = short_names(analysis.matrix.sources)
    for source in analysis.matrix.sources:
        pair = source, target
        if source not in mean.sources or target not in mean.targets or isnan(mean[pair]):
            continue
        if pair not in analysis.heights or source == analysis.contents.baseline:
            continue
        height = analysis.heights[pair]
        mark = "†" if is_self_pair(source, target) else ""
        hint = f"{source}{mark} on {target}: {interval_text(height)} at {mean[pair]:.4g}"
        points.append(
            LabelledPoint(
                shorts[source] + mark,
                mean[pair],
                height.mean,
                series,
                hint,
                low[pair],
                high[pair],
                *interval_ends(height),
            )
        )
    return points


# -- correlations ----------------------------------------------------------------------------------


def _correlations(analysis: StudyAnalysis) -> Markup:
    """A row for each distance or score, with and without self-pairs."""
    names = ["pairs"]
    for kind in _KINDS.values():
        names += [kind, "p"]
    names += ["r within targets", "p", "p of shuffles"]
    columns = [TableColumn("distance or score"), TableColumn("self-pairs")]
    columns += [TableColumn(name, is_number=True) for name in names]
    lacking = [note(text) for text in lacking_correlation_lines(analysis.correlations)]
    if all(item.reason for _, item in analysis.correlations):
        return join(lacking)
    rows: dict[tuple[str, bool], list[Correlation]] = {}
    for name, item in analysis.correlations:
        rows.setdefault((name, item.self_pairs), []).append(item)
    caption = f"Correlations with {height_words(analysis.contents)}, over all pairs"
    table = sortable_table(caption, columns, [_row(*key, items) for key, items in rows.items()])
    legend = note(
        "Over all pairs, a correlation mixes how hard the targets are with the order of their"
        " sources. Within targets, both numbers are less their mean over the target's sources, and"
        " p of shuffles is that of numbers shuffled within each target."
    )
    return join([table, legend, *lacking])


_KINDS: Final = {
    "pearson": "Pearson's r",
    "spearman": "Spearman's rho",
    "kendall": "Kendall's tau-b",
}


def _row(name: str, self_pairs: bool, items: list[Correlation]) -> list[TableCell | str]:
    within = next(item for item in items if item.over == "within targets")
    row: list[TableCell | str] = [name, "with" if self_pairs else "without"]
    row.append(TableCell(str(items[0].n), items[0].n))
    for kind in _KINDS:
        item = next(item for item in items if item.kind == kind and item is not within)
        row += [_value(item), TableCell(p_text(item.p), item.p)]
    row += [_value(within), TableCell(p_text(within.p), within.p)]
    return [*row, TableCell(p_text(within.permutation_p), within.permutation_p)]


def _value(item: Correlation) -> TableCell:
    return TableCell(number_text(item.value, _DIGITS), item.value)
