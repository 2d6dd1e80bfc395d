"""The section of backbones x heads x shots: the best, the table, and the curves over shots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite

from torchcross._kit.counts import count_text
from torchcross.records.shots import ALL_SHOTS
from torchcross.report.backbone_axis import (
    AxisCell,
    BackboneRow,
    axis_cells,
    backbone_rows,
    leading_often,
    ties_of,
)
from torchcross.report.headline import TIE, cell_text
from torchcross.report.html import (
    TableCell,
    TableColumn,
    head_cell,
    note,
    series_keys,
    sortable_rows,
    sortable_table,
)
from torchcross.report.markup import Markup, as_text, element, join
from torchcross.report.numbers import shots_title
from torchcross.report.plots import ShotsPoint, shots_plot
from torchcross.report.summary import Summary, TargetTask
from torchcross.statistics import Interval

Cells = Mapping[int, Mapping[str, AxisCell]]
_MOST_NAMES = 3
_NAMES = ("backbone", "head")


def backbones_section(summary: Summary) -> Markup:
    """The mean of the targets first, then each target."""
    rows = backbone_rows(summary)
    numbers = [shots for shots in summary.shots if shots is not None]
    cells = {shots: axis_cells(summary, shots) for shots in numbers}
    parts = [
        _best_table(summary, rows, cells),
        _means_table(summary, rows, cells),
        element("p", _legend(summary), class_="legend"),
        *_curves(summary, rows, cells),
        element("h3", "Each target"),
    ]
    for target in summary.targets:
        table = _target_table(summary, target, rows, numbers)
        curves = _curves_on(summary, target, rows, numbers)
        parts.append(element("details", element("summary", target.name), table, *curves))
    return join(parts)


def _legend(summary: Summary) -> str:
    texts = [
        f"Mean of the targets ± half of its {100 * summary.level:g} % interval for these targets:"
        " it says nothing of other targets, and takes scores of different targets to be"
        " independent. Bold: the best at its number of shots.",
        f"{TIE}: Wilcoxon's test over targets does not find it worse than the best, corrected by"
        " Holm's method over all pairs of rows at these shots.",
        "(n of m): on n of m targets the row is the best, or is tied with the best there.",
    ]
    if any(across.power_warnings for across in summary.across.values()):
        texts.append(
            f"With so few targets this test can separate no pair: then {TIE} says only that there"
            " are too few; the tests on each target stand below."
        )
    return " ".join(texts)


# -- the best --------------------------------------------------------------------------------------


def _best_table(summary: Summary, rows: Sequence[BackboneRow], cells: Cells) -> Markup:
    names = ("shots", "best head", "best backbone")
    columns = [TableColumn(name) for name in names]
    columns.append(TableColumn(summary.notation.title, is_number=True))
    columns.append(TableColumn("best or tied on", is_number=True))
    columns.append(TableColumn("also best or tied on half of the targets"))
    columns.append(TableColumn("not separated by Wilcoxon's test"))
    by_name = {row.name: row for row in rows}
    lines: list[list[TableCell | str]] = []
    for shots, at in cells.items():
        for name, cell in at.items():
            if cell.is_best:
                row, mean = by_name[name], cell.interval.mean
                lines.append(
                    [
                        TableCell(shots_title(shots), shots),
                        row.head,
                        row.backbone or "—",
                        TableCell(_mean_text(summary, cell.interval), mean),
                        TableCell(_leads_text(cell), cell.leads),
                        _list_text(leading_often(at), len(at) - 1),
                        _ties_text(summary, shots, at),
                    ]
                )
    if not lines:
        return note("No mean over targets: the targets have different grades, or no rows.")
    return sortable_table("The best at each number of shots, over the targets", columns, lines)


def _leads_text(cell: AxisCell) -> str:
    return f"{cell.leads} of {cell.targets}"


def _ties_text(summary: Summary, shots: int, cells: Mapping[str, AxisCell]) -> str:
    across = summary.across.get(shots)
    if across is None:
        return "—"
    if across.power_warnings:
        return f"{count_text(len(across.targets), 'targets')} can separate no pair"
    return _list_text(ties_of(cells), len(cells) - 1)


def _list_text(names: Sequence[str], others: int) -> str:
    """The first of them; a word where they are all others."""
    if len(names) == others > _MOST_NAMES:
        return f"all {others} others"
    more = len(names) - _MOST_NAMES
    end = f" and {more} more" if more > 0 else ""
    return f"{', '.join(names[:_MOST_NAMES])}{end}" if names else "none"


def _mean_text(summary: Summary, interval: Interval) -> str:
    half = summary.notation.text(interval.half, missing="")
    return summary.notation.text(interval.mean, missing="—") + (f" ± {half}" if half else "")


# -- tables ----------------------------------------------------------------------------------------


def _means_table(summary: Summary, rows: Sequence[BackboneRow], cells: Cells) -> Markup:
    caption = f"{summary.notation.title}, mean of the targets, by backbone and head"
    lines = [[_mean_cell(summary, at.get(row.name)) for at in cells.values()] for row in rows]
    return _table(caption, rows, list(cells), lines)


def _target_table(
    summary: Summary, target: TargetTask, rows: Sequence[BackboneRow], numbers: Sequence[int]
) -> Markup:
    lines = [[_cell_on(summary, target, row.name, shots) for shots in numbers] for row in rows]
    return _table(f"{summary.notation.title} on {target.name}", rows, numbers, lines)


def _table(
    caption: str,
    rows: Sequence[BackboneRow],
    numbers: Sequence[int],
    lines: Sequence[Sequence[Markup]],
) -> Markup:
    """A sortable table with the cells of each row behind its backbone and its head."""
    heads = [head_cell(TableColumn(name), place) for place, name in enumerate(_NAMES)]
    heads += [
        head_cell(TableColumn(shots_title(shots), is_number=True), place)
        for place, shots in enumerate(numbers, len(_NAMES))
    ]
    body = [
        element(
            "tr",
            element("th", row.backbone or "—", scope="row"),
            element("td", row.head),
            *line,
        )
        for row, line in zip(rows, lines, strict=True)
    ]
    return sortable_rows(caption, heads, body)


def _mean_cell(summary: Summary, cell: AxisCell | None) -> Markup:
    if cell is None:
        return _number_cell("", as_text("—"))
    interval, write = cell.interval, summary.notation.text
    parts = [as_text(write(interval.mean, missing="—"))]
    if isfinite(interval.half):
        parts.append(element("span", f" ± {write(interval.half)}", class_="unit"))
    parts.append(element("span", TIE if cell.is_tied else "", class_="tie"))
    parts.append(element("span", f" ({_leads_text(cell)})", class_="unit"))
    return _number_cell(_sorted_by(interval.mean), *parts, is_best=cell.is_best)


def _cell_on(summary: Summary, target: TargetTask, name: str, shots: int) -> Markup:
    """As the table of all rows has it."""
    text = cell_text(summary, target, (name, shots))
    if text is None:
        return _number_cell("", as_text("—"))
    parts = [as_text(text.mean)]
    if text.spread:
        parts.append(element("span", f" ± {text.spread}", class_="unit"))
    grey = " once" if text.is_grey else ""
    parts.append(element("span", text.sign, class_=f"tie{grey}"))
    mean = summary.cells[target.name, name, shots].interval.mean
    return _number_cell(_sorted_by(mean), *parts, is_best=text.is_best)


def _number_cell(value: str, *parts: Markup, is_best: bool = False) -> Markup:
    style = "number best" if is_best else "number"
    return element("td", *parts, class_=style, data_value=value)


def _sorted_by(mean: float) -> str:
    return repr(mean) if isfinite(mean) else ""


# -- curves ----------------------------------------------------------------------------------------


def _curves(summary: Summary, rows: Sequence[BackboneRow], cells: Cells) -> Iterator[Markup]:
    """The mean of the targets: a plot for each head, then a plot for each backbone."""
    points = {row.name: _mean_points(summary, row.name, cells) for row in rows}
    if not _has_curve(points):
        yield note("A curve needs two numbers of shots.")
        return
    for of_lines, of_plots in (("backbone", "head"), ("head", "backbone")):
        yield element("h3", f"{of_lines.capitalize()}s, for each {of_plots}")
        yield series_keys(list(_series(rows, of_lines).items()))
        plots = _plots(summary, rows, points, of_lines, summary.targets)
        yield element("div", *plots, class_="many")


def _curves_on(
    summary: Summary, target: TargetTask, rows: Sequence[BackboneRow], numbers: Sequence[int]
) -> list[Markup]:
    """The backbones on one target, for each head."""
    points = {row.name: _points_on(summary, target, row.name, numbers) for row in rows}
    if not _has_curve(points):
        return []
    keys = series_keys(list(_series(rows, "backbone").items()))
    plots = _plots(summary, rows, points, "backbone", [target])
    return [keys, element("div", *plots, class_="many")]


def _has_curve(points: Mapping[str, Sequence[ShotsPoint]]) -> bool:
    numbers = {point.shots for line in points.values() for point in line} - {ALL_SHOTS}
    return len(numbers) > 1


def _series(rows: Sequence[BackboneRow], of_lines: str) -> dict[str, int]:
    """The backbones, or the heads of rows that have one, with the series of each."""
    names = dict.fromkeys(_part(row, of_lines) for row in rows if row.backbone)
    return {name: place for place, name in enumerate(names)}


def _part(row: BackboneRow, part: str) -> str:
    return row.backbone if part == "backbone" else row.head


def _plots(
    summary: Summary,
    rows: Sequence[BackboneRow],
    points: Mapping[str, Sequence[ShotsPoint]],
    of_lines: str,
    targets: Sequence[TargetTask],
) -> Iterator[Markup]:
    """One plot for each head with a line for each backbone, or the other way round."""
    chance = summary.chance_on([target.name for target in targets]) * summary.notation.factor
    of_plots = "head" if of_lines == "backbone" else "backbone"
    series = _series(rows, of_lines)
    beside = [point for row in rows if row.backbone for point in points[row.name]]
    for title in _series(rows, of_plots):
        lines = [
            (_part(row, of_lines), series[_part(row, of_lines)], points[row.name])
            for row in rows
            if row.backbone and _part(row, of_plots) == title and points[row.name]
        ]
        # All labels alone, a level line, make no curve.
        if any(point.shots != ALL_SHOTS for _, _, line in lines for point in line):
            yield shots_plot(title, summary.notation.title, lines, chance, beside)


def _mean_points(summary: Summary, name: str, cells: Cells) -> list[ShotsPoint]:
    intervals = [(shots, at[name].interval) for shots, at in cells.items() if name in at]
    return [_point(summary, shots, interval) for shots, interval in intervals]


def _points_on(
    summary: Summary, target: TargetTask, name: str, numbers: Sequence[int]
) -> list[ShotsPoint]:
    cells = ((shots, summary.cells.get((target.name, name, shots))) for shots in numbers)
    return [_point(summary, shots, cell.interval) for shots, cell in cells if cell is not None]


def _point(summary: Summary, shots: int, interval: Interval) -> ShotsPoint:
    bounds = (interval.mean, interval.low, interval.high)
    return ShotsPoint(shots, *(bound * summary.notation.factor for bound in bounds))
