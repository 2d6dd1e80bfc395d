"""The page's sections that speak of numbers: across targets, against shots, episode by episode, and
what is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite, nan

import numpy as np

from torchcross.records import Records
from torchcross.report.html import Cell, Head, keys, note, table, warning
from torchcross.report.inputs import Curve, Failure
from torchcross.report.markup import Markup, element, join
from torchcross.report.numbers import factor_of, metric_title
from torchcross.report.plots import MOST_DOTS, Level, Strip, learning_curves, shots_plot, strips
from torchcross.report.ranks import rank_diagram
from torchcross.report.summary import Score, Summary, Target
from torchcross.report.tables import shots_title
from torchcross.statistics import Across, TargetPair

__all__ = [
    "across_section",
    "across_table",
    "curves_section",
    "failures_section",
    "shots_section",
    "strips_section",
    "undefined_section",
]

Series = Mapping[str, int]
_MOST_REASONS = 200


def across_section(summary: Summary, series: Series) -> Markup:
    """For each number of shots: ranks, the diagram or why there is none, and every pair."""
    parts = []
    for shots in summary.shots:
        title = element("h3", shots_title(shots))
        if shots in summary.across:
            parts.append(join([title, across_table(summary.across[shots], summary.metric, series)]))
        else:
            parts.append(
                join([title, note("One algorithm: there is nothing to compare, and no diagram.")])
            )
    return join(parts)


def across_table(across: Across, metric: str, series: Series) -> Markup:
    """Ranks, the diagram or why there is none, and every pair; without a metric numbers stand as
    they were given.
    """
    warnings = [warning(f"{text}.") for text in across.warnings]
    test = across.friedman
    said = []
    if isfinite(test.chi2):
        said.append(
            element(
                "p",
                f"{len(across.targets)} targets. Friedman's χ² {test.chi2:.2f} (p {_p(test.p)};"
                f" without correction for ties {across.untied.chi2:.2f}), Iman–Davenport F"
                f" {_f(test.F)} (p {_p(test.F_p)}; {_f(across.untied.F)}). Nemenyi's critical"
                f" difference of mean ranks is {across.cd:.2f}.",
            )
        )
    drawn = []
    if across.diagram:
        places = [series[name] for name in across.algorithms]
        drawn.append(
            rank_diagram(across.algorithms, across.ranks, across.groups, across.cd, places)
        )
        caption = (
            "Critical-difference diagram: a bar joins algorithms whose mean ranks Nemenyi's test"
            " does not separate."
        )
        drawn.append(element("p", caption, class_="legend"))
    return join([*warnings, *said, *drawn, _pairs(across.pairs, metric)])


def _pairs(pairs: Sequence[TargetPair], metric: str) -> Markup:
    factor = factor_of(metric)
    heads = [
        Head("pair"),
        *(Head(name, True) for name in ("difference", "from", "to", "W", "p", "p (Holm)")),
    ]
    rows: list[list[Cell | str]] = []
    for pair in pairs:
        found = pair.difference
        numbers = [
            (value * factor, f"{value * factor:+.2f}".replace("-", "\N{MINUS SIGN}"))
            for value in (found.mean, found.low, found.high)
        ]
        tests = [
            (pair.wilcoxon.W, f"{pair.wilcoxon.W:g}"),
            (pair.wilcoxon.p, _p(pair.wilcoxon.p)),
            (pair.p, _p(pair.p)),
        ]
        cells = [
            Cell(text if isfinite(value) else "—", value) for value, text in (*numbers, *tests)
        ]
        rows.append([f"{pair.first} − {pair.second}", *cells])
    exact = ", exact" if all(pair.wilcoxon.method == "exact" for pair in pairs) else ""
    what = f"Differences of {metric_title(metric)}" if metric else "Differences"
    caption = f"{what} over targets with their intervals; Wilcoxon's signed ranks{exact}"
    return table(caption, heads, rows)


def shots_section(summary: Summary, series: Series) -> Markup:
    """The mean over targets, then each target."""
    if len(summary.shots) < 2:
        return note(
            f"All rows have {shots_title(summary.shots[0])}: a curve needs two numbers of shots."
        )
    factor = factor_of(summary.metric)
    overall = [
        (
            name,
            series[name],
            [Level(k, summary.means[name, k] * factor, nan, nan) for k in summary.shots],
        )
        for name in summary.algorithms
    ]
    title = metric_title(summary.metric)
    drawn = [shots_plot("Mean of the targets", title, overall)]
    for target in summary.targets:
        found = [
            (name, series[name], _levels(summary, target, name)) for name in summary.algorithms
        ]
        if any(levels for _, _, levels in found):
            drawn.append(shots_plot(target.name, title, found))
    said = (
        "Upright lines are intervals of the mean; the mean of the targets has none, since targets"
        " are no sample."
    )
    return join(
        [
            keys([(name, series[name]) for name in summary.algorithms]),
            element("p", said, class_="legend"),
            element("div", *drawn, class_="many"),
        ]
    )


def _levels(summary: Summary, target: Target, algorithm: str) -> list[Level]:
    found = (
        (shots, summary.scores.get((target.name, algorithm, shots))) for shots in summary.shots
    )
    return [_level(score, shots, summary.metric) for shots, score in found if score is not None]


def _level(score: Score, shots: int, metric: str) -> Level:
    return Level(shots, *(bound * factor_of(metric) for bound in score.bounds))


def strips_section(summary: Summary, series: Series) -> Markup:
    """A fold for each target, the first one open."""
    factor = factor_of(summary.metric)
    folds = []
    for number, target in enumerate(summary.targets):
        rows = [
            Strip(
                name,
                series[name],
                _level(score, shots, summary.metric),
                [value * factor for value in score.values],
            )
            for shots in summary.shots
            for name in summary.algorithms
            if (score := summary.scores.get((target.name, name, shots))) is not None
        ]
        episodes = max(len(row.values) for row in rows)
        heading = element(
            "summary", target.name, element("span", f" {episodes} values a line", class_="soft")
        )
        drawn = strips(target.name, metric_title(summary.metric), rows)
        folds.append(element("details", heading, drawn, open=number == 0))
    said = (
        "A dot is the score of one episode; the mark under the dots is the mean of the table, over"
        " the episodes that every algorithm scored, the line through it its interval. More than"
        f" {MOST_DOTS} episodes are drawn as the outline of their histogram."
    )
    return join([element("p", said, class_="legend"), *folds])


def curves_section(curves: Sequence[Curve], series: Series) -> Markup:
    """A row of plots for each quantity, one plot for each group; a label that is an algorithm has
    its colour.
    """
    labels = dict.fromkeys(curve.label for curve in curves)
    free = iter(range(len(series), len(series) + len(labels)))
    places = {label: series[label] if label in series else next(free) for label in labels}
    quantities: dict[str, dict[str, list[tuple[Curve, int]]]] = {}
    for curve in curves:
        quantities.setdefault(curve.quantity, {}).setdefault(curve.group, []).append(
            (curve, places[curve.label])
        )
    panels = [panel for groups in quantities.values() for panel in groups.values()]
    repeated = any(len({curve.label for curve, _ in panel}) < len(panel) for panel in panels)
    said = "A dotted line is the step whose weights were kept."
    said += " Lines of one colour are training seeds." if repeated else ""
    parts = [keys(list(places.items())), element("p", said, class_="legend")]
    for quantity, groups in quantities.items():
        drawn = [learning_curves(group, quantity, panel) for group, panel in groups.items()]
        parts += [element("h3", quantity), element("div", *drawn, class_="many")]
    return join(parts)


def failures_section(failures: Sequence[Failure]) -> Markup:
    """What failed for one reason in one row, whichever algorithms and seeds it hit."""
    heads = [
        Head("target"),
        Head("algorithms"),
        Head("shots"),
        Head("seeds"),
        Head("kind"),
        Head("reason"),
    ]
    alike: dict[tuple[str, str, str], list[Failure]] = {}
    for failure in failures:
        reason = failure.reason if not failure.run else f"{failure.reason} (run {failure.run})"
        alike.setdefault((failure.target, failure.kind, reason), []).append(failure)
    rows: list[list[Cell | str]] = [
        [
            target or "all",
            _listed([failure.algorithm or None for failure in some]),
            _listed([failure.shots for failure in some]),
            _listed([failure.seed for failure in some]),
            kind or "—",
            _folded(reason),
        ]
        for (target, kind, reason), some in alike.items()
    ]
    return table(f"What failed: {len(failures)}", heads, rows)


def _folded(reason: str) -> str:
    """The first line; what explains it can be unfolded."""
    first, _, rest = reason.partition("\n")
    return element("details", element("summary", first), rest) if rest else reason


def _listed(values: Sequence[object | None]) -> str:
    """Each once; None means all of them."""
    return ", ".join(dict.fromkeys("all" if value is None else str(value) for value in values))


def undefined_section(records: Records) -> Markup:
    """How many values were undefined, of which metric where, and why."""
    missing = records[np.isnan(records.columns["value"])]
    columns = (
        missing.columns[name].tolist()
        for name in ("metric", "target", "shots", "reason", "algorithm")
    )
    counts: Counter[tuple[str, str, int, str]] = Counter()
    who: dict[tuple[str, str, int, str], dict[str, None]] = {}
    for metric, target, shots, reason, algorithm in zip(*columns, strict=True):
        counts[metric, target, shots, reason] += 1
        who.setdefault((metric, target, shots, reason), {})[algorithm] = None
    heads = [
        Head("target"),
        Head("metric"),
        Head("shots", True),
        Head("values", True),
        Head("reason"),
        Head("algorithms"),
    ]
    rows: list[list[Cell | str]] = [
        [
            target,
            metric,
            Cell(str(shots), shots),
            Cell(str(count), count),
            reason,
            ", ".join(who[place]),
        ]
        for place, count in counts.most_common(_MOST_REASONS)
        for metric, target, shots, reason in [place]
    ]
    left = f"; the {_MOST_REASONS} most frequent" if len(counts) > _MOST_REASONS else ""
    said = f"Undefined values, left out of every mean: {len(missing):,}"
    shown = table(f"Where and why{left}", heads, rows)
    return element("details", element("summary", said), shown, open=len(rows) <= 10)


def _p(value: float) -> str:
    if not isfinite(value):
        return "—"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def _f(value: float) -> str:
    return f"{value:.2f}" if isfinite(value) else "∞"
