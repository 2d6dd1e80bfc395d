"""The section beyond the mean: robust means, profiles, improvements, the worst episodes, chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite, nan

from torchcross._kit.counts import count_text
from torchcross.errors import InputError
from torchcross.metrics.reference_values import CHANCE, lower_is_better
from torchcross.records import Records
from torchcross.report.html import (
    TableCell,
    TableColumn,
    note,
    series_keys,
    sortable_table,
    warning,
)
from torchcross.report.markup import Markup, element, join
from torchcross.report.numbers import Notation, shots_title
from torchcross.report.pair_tables import pair_table
from torchcross.report.profile_plot import ProfileLine, profile_plot
from torchcross.report.summary import Chance, Summary
from torchcross.statistics import AcrossRuns, across_runs

Series = Mapping[str, int]


def beyond_section(
    records: Records, summary: Summary, series: Series, chance: Chance | None = None
) -> Markup:
    """For each number of shots: one row per algorithm, every pair, and the profiles."""
    levels = (chance or {}).get(summary.metric, {})
    parts: list[Markup] = []
    for shots in summary.shots:
        if shots is None:
            continue
        parts.append(element("h3", shots_title(shots)))
        try:
            across = across_runs(
                records,
                summary.metric,
                shots,
                chance=levels,
                scales=summary.scales,
                level=summary.level,
            )
        except InputError as error:
            parts.append(note(f"Nothing can be said across targets: {error}."))
        else:
            parts += _parts(across, summary, series, levels)
    return join([*parts, element("p", _legend(summary), class_="legend")])


def _parts(
    across: AcrossRuns, summary: Summary, series: Series, levels: Mapping[str, float]
) -> Iterator[Markup]:
    if across.not_averaged:
        yield warning(f"{across.not_averaged}.")
    if across.left_out:
        names = ", ".join(across.left_out)
        yield warning(f"{names}: left out, since too few targets have its scores.")
    if across.rows:
        yield _algorithms(across, summary.notation)
    if across.improvements:
        yield from _improvements(across)
    if across.rows:
        yield _profiles(across, summary, series, levels)


def _algorithms(across: AcrossRuns, notation: Notation) -> Markup:
    names = ("interquartile mean", "from", "to", "worst tenth", "at chance or worse (%)")
    columns = [TableColumn("algorithm"), *(TableColumn(name, is_number=True) for name in names)]
    rows: list[list[TableCell | str]] = []
    for row in across.rows:
        scores = (row.iqm.mean, row.iqm.low, row.iqm.high, row.worst)
        cells = [TableCell(notation.text(score, "—"), score) for score in scores]
        share = 100 * row.at_chance
        cells.append(TableCell(f"{share:.1f}" if isfinite(share) else "—", share))
        rows.append([row.algorithm, *cells])
    of_what = f"{notation.title}, " if notation.title else ""
    return sortable_table(f"{of_what}{_place(across)}", columns, rows)


def _improvements(across: AcrossRuns) -> list[Markup]:
    names = ("P(first better)", "from", "to")
    columns = [TableColumn("pair"), *(TableColumn(name, is_number=True) for name in names)]
    rows: list[tuple[tuple[str, str], list[TableCell | str]]] = []
    for each in across.improvements:
        bounds = (each.interval.mean, each.interval.low, each.interval.high)
        cells = [TableCell(f"{bound:.2f}" if isfinite(bound) else "—", bound) for bound in bounds]
        pair = (each.first, each.second)
        rows.append((pair, [f"{each.first} against {each.second}", *cells]))
    sign = -1 if lower_is_better(across.metric) else 1
    best = max(across.rows, key=lambda row: sign * row.iqm.mean).algorithm if across.rows else ""
    return pair_table(f"Probability of improvement, {_place(across)}", columns, rows, best)


def _place(across: AcrossRuns) -> str:
    """The targets, and what the intervals come from."""
    targets = count_text(len(across.targets), "targets")
    return f"{targets}, {100 * across.level:g} % intervals: {across.resampling}"


def _profiles(
    across: AcrossRuns, summary: Summary, series: Series, levels: Mapping[str, float]
) -> Markup:
    factor, title = summary.notation.factor, summary.notation.title or "score"
    lines = [
        ProfileLine(
            row.algorithm,
            series[row.algorithm],
            (row.profile.thresholds * factor).tolist(),
            (row.profile.shares * 100).tolist(),
            (row.profile.low * 100).tolist(),
            (row.profile.high * 100).tolist(),
        )
        for row in across.rows
    ]
    known = {levels.get(target, CHANCE.get(across.metric, nan)) for target in across.targets}
    chance = known.pop() * factor if len(known) == 1 else nan
    plot = profile_plot(f"Performance profiles, {shots_title(across.shots)}", title, lines, chance)
    keys = series_keys([(line.algorithm, line.series) for line in lines])
    return join([element("h4", "Performance profiles"), keys, plot])


def _legend(summary: Summary) -> str:
    value = " or ".join(summary.failures_count_as)
    failed = f"; an adaptation that failed counts as {value}" if value else ""
    return (
        "Interquartile mean: the mean of the middle half of the scores, one for each target and"
        " training seed (Agarwal et al. 2021); a few targets do not move it. Worst tenth: the mean"
        " of the worst 10 % of the episodes of a target, averaged over targets. At chance or worse:"
        f" the share of episodes that are no better than guessing, averaged over targets{failed}."
        " P(first better): on a target and in a training taken at random; it has no interval where"
        " the better one is the same in all of them. Profiles: the percentage of episodes that are"
        " better than a score, every target weighing the same; the marks stand where half of them"
        " are, the dotted line at chance level, and bands hold at each score by itself, at"
        f" {100 * summary.level:g} %."
        " Intervals hold for these targets. They come from few training seeds, or from episodes of"
        " one training that may share images: then they are rather too narrow."
    )
