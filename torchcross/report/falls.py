"""The fall of every row from balanced to natural supports: a section with a plot and a table."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan

from torchcross.report.html import TableCell, TableColumn
from torchcross.report.inputs import PageTable
from torchcross.report.markup import Markup, element
from torchcross.report.numbers import Notation, notation_of, shots_title
from torchcross.report.svg import (
    SERIES,
    AxisScale,
    PlotArea,
    label,
    marker,
    padded_range,
    shorten,
    straight_line,
    svg_image,
    ticks,
)
from torchcross.statistics.falls import Fall

_WIDTH, _ROW, _LEFT = 640.0, 26.0, 170.0
_LEGEND = (
    "A balanced support has as many images of each class. A natural one has as many in all, drawn"
    " as they come, and may have none of a class. Means are over the targets that a row was scored"
    " on with both; the episodes are others, so nothing is paired. The last column counts natural"
    " supports that lack a class, on the targets of both. A zero-shot row reads no support, and has"
    " no fall. The interval of a fall is over"
    " the episodes of these images: where episodes share images, it is narrower than what is known."
)


def falls_section(
    metric: str, falls: Sequence[Fall], lacking: Sequence[str], chance: Sequence[float]
) -> PageTable:
    """The plot, and under it the numbers.

    `lacking` says of each fall how many supports do, and `chance` what chance reaches on its
    targets: NaN where there is no such level.
    """
    notation = notation_of(metric)
    names = ("balanced", "natural", "fall", "±", "targets")
    columns = [TableColumn("algorithm"), TableColumn("shots", is_number=True)]
    columns += [TableColumn(name, is_number=True) for name in names]
    columns.append(TableColumn("lack a class"))
    return PageTable(
        identifier="natural",
        title="Natural supports",
        caption=f"From balanced to natural supports: {notation.title}",
        texts=[_LEGEND],
        columns=columns,
        rows=[[*_row(fall, notation), text] for fall, text in zip(falls, lacking, strict=True)],
        figure=falls_plot(notation, falls, chance),
    )


def _row(fall: Fall, notation: Notation) -> list[TableCell | str]:
    half = fall.fall.half
    spread = notation.text(half, "—")
    return [
        fall.algorithm,
        TableCell(str(fall.shots), fall.shots),
        TableCell(notation.text(fall.balanced), fall.balanced),
        TableCell(notation.text(fall.natural), fall.natural),
        TableCell(notation.text(fall.fall.mean), fall.fall.mean),
        TableCell(spread, half),
        TableCell(str(fall.targets), fall.targets),
    ]


def falls_plot(notation: Notation, falls: Sequence[Fall], chance: Sequence[float]) -> Markup:
    """A line for each row, from its mean with balanced supports to that with natural ones.

    Where the rows are over targets of other chance levels, each has its own piece of the line.
    """
    factor = notation.factor
    by_shots = sorted({fall.shots for fall in falls})
    series = {name: place for place, name in enumerate(dict.fromkeys(f.algorithm for f in falls))}
    height = 26 + _ROW * (len(falls) + len(by_shots)) + 40
    values = [factor * value for fall in falls for value in (fall.balanced, fall.natural)]
    levels = [round(factor * level, 9) for level in chance]
    low, high = padded_range([*values, *levels], 0.08)
    area = PlotArea(AxisScale(low, high, _LEFT, _WIDTH - 20), AxisScale(0, 1, height - 40, 18))
    marks = ticks(low, high, 6)
    parts = [
        straight_line(area.x(mark), area.y.start, area.x(mark), area.y.end, "grid")
        for mark in marks
    ]
    is_one = len(set(levels)) == 1
    parts += [area.axes(marks, [], notation.title)]
    parts.append(area.chance_line(levels[0] if is_one else nan, is_level=False))
    y = 20.0
    for shots in by_shots:
        parts.append(label(4, y + 17, shots_title(shots), "tick", "start"))
        y += _ROW
        for fall, level in zip(falls, levels, strict=True):
            if fall.shots == shots:
                if isfinite(level) and not is_one:
                    x = area.x(level)
                    parts.append(straight_line(x, y + _ROW - 3, x, y + 3, "chance"))
                parts += _line(fall, series[fall.algorithm], area, y + _ROW / 2, notation)
                y += _ROW
    description = f"{notation.title} of every row, with balanced and with natural supports"
    image = svg_image(_WIDTH, height, description, *parts)
    ends = "From balanced supports (small mark) to natural ones (large mark), mean over targets"
    if not is_one and any(map(isfinite, levels)):
        ends += "; the dashed line in a row is chance on its targets"
    caption = element("figcaption", ends)
    return element("figure", caption, element("div", image, class_="scroll wide", tabindex=0))


def _line(fall: Fall, series: int, area: PlotArea, y: float, notation: Notation) -> list[Markup]:
    name = element("text", shorten(fall.algorithm, 22), x=16, y=y + 4, text_anchor="start")
    ends = [area.x(notation.factor * value) for value in (fall.balanced, fall.natural)]
    if not all(map(isfinite, ends)):
        return [name]
    hints = [
        f"{fall.algorithm}, {kind}: {notation.text(value)}"
        for kind, value in (("balanced", fall.balanced), ("natural", fall.natural))
    ]
    return [
        name,
        straight_line(ends[0], y, ends[1], y, f"line s{series % SERIES}"),
        marker(ends[0], y, series, hints[0], 2.8),
        marker(ends[1], y, series, hints[1], 5.0),
    ]
