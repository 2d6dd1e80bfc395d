"""Sections of the page: against shots, episode by episode, learning curves, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite, nan

import numpy as np

from torchcross.records import Records
from torchcross.records.shots import ALL_SHOTS, shots_word
from torchcross.report.cells import SummaryCell
from torchcross.report.episode_answers import AnswersKey, EpisodeAnswers
from torchcross.report.episode_picks import Picks, picks_table
from torchcross.report.html import TableCell, TableColumn, note, series_keys, sortable_table
from torchcross.report.inputs import Curve, Failure
from torchcross.report.markup import Markup, element, join
from torchcross.report.numbers import shots_title
from torchcross.report.plots import (
    MOST_DOTS,
    EpisodeStrip,
    ShotsPoint,
    episode_strips,
    learning_curves,
    shots_plot,
)
from torchcross.report.summary import Summary, TargetTask

Series = Mapping[str, int]
_MOST_REASONS = 200
_MOST_OPEN_REASONS = 10


# -- shots and episodes ----------------------------------------------------------------------------


def shots_section(summary: Summary, series: Series) -> Markup:
    """The mean over targets, then each target."""
    numbers = [shots for shots in summary.shots if shots != ALL_SHOTS]
    if len(numbers) < 2:
        (only,) = numbers or summary.shots
        return note(f"All rows have {shots_title(only)}: a curve needs two numbers of shots.")
    title, factor = summary.notation.title, summary.notation.factor
    lines = []
    for name in summary.algorithms:
        means = [(shots, summary.mean_of((name, shots)) * factor) for shots in summary.shots]
        points = [ShotsPoint(shots, mean, nan, nan) for shots, mean in means if shots is not None]
        lines.append((name, series[name], points))
    plots = []
    if any(isfinite(point.mean) for _, _, points in lines for point in points):
        everywhere = [target.name for target in summary.targets]
        chance = summary.chance_on(everywhere) * factor
        plots.append(shots_plot("Mean of the targets", title, lines, chance))
    for target in summary.targets:
        lines = [
            (name, series[name], _points(summary, target, name)) for name in summary.algorithms
        ]
        if any(point.shots != ALL_SHOTS for _, _, points in lines for point in points):
            chance = summary.chance_on([target.name]) * factor
            plots.append(shots_plot(target.name, title, lines, chance))
    legend = (
        "Upright lines are intervals of the mean. The mean of the targets has none, since targets"
        " are no sample."
        f"{_LEVEL_LINES if ALL_SHOTS in summary.shots else ''}"
    )
    return join(
        [
            series_keys([(name, series[name]) for name in summary.algorithms]),
            element("p", legend, class_="legend"),
            element("div", *plots, class_="many"),
        ]
    )


_LEVEL_LINES = " A dashed level line is what all labels of a target give."


def _points(summary: Summary, target: TargetTask, algorithm: str) -> list[ShotsPoint]:
    return [
        _point(summary, shots, summary.cells[target.name, algorithm, shots])
        for shots in summary.shots
        if (target.name, algorithm, shots) in summary.cells
    ]


def _point(summary: Summary, shots: int | None, cell: SummaryCell) -> ShotsPoint:
    return ShotsPoint(shots or 0, *(bound * summary.notation.factor for bound in cell.bounds))


def episode_places(summary: Summary) -> dict[str, str]:
    """Target -> the place of its episodes in the page's address."""
    return {target.name: f"episodes-{place}" for place, target in enumerate(summary.targets, 1)}


def episodes_section(
    summary: Summary,
    series: Series,
    picks: Picks,
    answers: Sequence[EpisodeAnswers],
    shares: Mapping[AnswersKey, int],
) -> Markup:
    """A fold for each target, the first one open, with a strip for each algorithm and shots.

    Under it are the best, the median and the worst episode of each, with their answers; those that
    have a share of the room for pictures have their images.
    """
    legend = (
        "A dot is the score of one episode; a failed one has none. The mark under the dots is the"
        " mean of the table, in which failures count; the line through it is its interval. More"
        f" than {MOST_DOTS} episodes are drawn as the outline of their histogram."
    )
    parts = [element("p", legend, class_="legend")]
    places = episode_places(summary)
    for number, target in enumerate(summary.targets):
        strips = []
        for shots, name in ((k, name) for k in summary.shots for name in summary.algorithms):
            if (cell := summary.cells.get((target.name, name, shots))) is not None:
                values = [value * summary.notation.factor for value in cell.values]
                point = _point(summary, shots, cell)
                strips.append(EpisodeStrip(name, series[name], point, values))
        most = max(len(strip.values) for strip in strips)
        size = element("span", f" {most} values a line", class_="soft")
        chance = summary.chance_on([target.name]) * summary.notation.factor
        plot = episode_strips(target.name, summary.notation.title, strips, chance)
        heading = element("summary", target.name, size)
        own = [each for each in answers if each.target == target.name]
        table = picks_table(summary, target.name, picks, own, shares)
        place = places[target.name]
        fold = element("details", heading, plot, table, open=number == 0, id=place)
        parts.append(fold)
    return join(parts)


# -- learning curves -------------------------------------------------------------------------------


def curves_section(curves: Sequence[Curve], series: Series) -> Markup:
    """A row of plots for each quantity, one plot for each group of curves.

    A label that is the name of an algorithm has its colour.
    """
    places = dict(series)
    plots: dict[str, dict[str, list[tuple[Curve, int]]]] = {}
    for curve in curves:
        place = places.setdefault(curve.label, len(places))
        plots.setdefault(curve.quantity, {}).setdefault(curve.group, []).append((curve, place))
    labels = dict.fromkeys(curve.label for curve in curves)
    legend = "A dotted line is the step whose weights were kept."
    if len({(curve.quantity, curve.group, curve.label) for curve in curves}) < len(curves):
        legend += " Lines of one colour are training seeds."
    parts = [
        series_keys([(label, places[label]) for label in labels]),
        element("p", legend, class_="legend"),
    ]
    for quantity, groups in plots.items():
        drawings = [learning_curves(group, quantity, lines) for group, lines in groups.items()]
        parts += [element("h3", quantity), element("div", *drawings, class_="many")]
    return join(parts)


# -- missing ---------------------------------------------------------------------------------------


def failures_table(failures: Sequence[Failure]) -> Markup:
    """One row for each target and reason, with the algorithms, shots and seeds that failed."""
    groups: dict[tuple[str, str, str], list[Failure]] = {}
    for failure in failures:
        run = f" (run {failure.run})" if failure.run else ""
        key = (failure.target, failure.kind, failure.reason + run)
        groups.setdefault(key, []).append(failure)
    rows = [
        [
            target or "all",
            _listing(failure.algorithm or None for failure in group),
            _listing((failure.shots for failure in group), "every number"),
            _listing(failure.seed for failure in group),
            kind or "—",
            _folded_reason(reason),
        ]
        for (target, kind, reason), group in groups.items()
    ]
    names = ("target", "algorithms", "shots", "seeds", "kind", "reason")
    return sortable_table(f"What failed: {len(failures)}", list(map(TableColumn, names)), rows)


def _folded_reason(reason: str) -> str:
    """The first line; a click shows the rest."""
    first, _, rest = reason.partition("\n")
    return element("details", element("summary", first), rest) if rest else reason


def _listing(values: Iterable[object | None], of_all: str = "all") -> str:
    """Each value once; None stands for all of them."""
    return ", ".join(dict.fromkeys(of_all if value is None else str(value) for value in values))


def undefined_values(records: Records) -> Markup:
    """How many values were undefined, of which metric where, and why."""
    missing = records[np.isnan(records.columns["value"])]
    names = ("target", "metric", "shots", "reason", "algorithm")
    algorithms: dict[tuple[str, str, int, str], list[str]] = {}
    for *key, algorithm in zip(*(missing.columns[name].tolist() for name in names), strict=True):
        algorithms.setdefault(tuple(key), []).append(algorithm)
    groups = sorted(algorithms.items(), key=lambda group: -len(group[1]))
    rows: list[list[TableCell | str]] = []
    for (target, metric, shots, reason), group in groups[:_MOST_REASONS]:
        counts = (shots_word(shots), shots), (len(group), len(group))
        cells = [TableCell(str(text), number) for text, number in counts]
        rows.append([target, metric, *cells, reason, ", ".join(dict.fromkeys(group))])
    columns = [
        TableColumn("target"),
        TableColumn("metric"),
        TableColumn("shots", is_number=True),
        TableColumn("values", is_number=True),
        TableColumn("reason"),
        TableColumn("algorithms"),
    ]
    part = f"; the {_MOST_REASONS} most frequent" if len(groups) > _MOST_REASONS else ""
    heading = element("summary", f"Undefined values: {len(missing):,}")
    meaning = note(
        "A value that the algorithm failed to give counts in its mean as the legend of the table"
        " says. A value that nobody has is left out of every mean."
    )
    table = sortable_table(f"Where and why{part}", columns, rows)
    return element("details", heading, meaning, table, open=len(rows) <= _MOST_OPEN_REASONS)
