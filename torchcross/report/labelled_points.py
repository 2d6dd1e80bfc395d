"""Plots of labelled points: two numbers against each other with their intervals, and maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Final

from torchcross.report.label_places import Box, LabelPlace, label_places
from torchcross.report.markup import Markup, element
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
    tick_text,
    ticks,
)

MOST_LABELS: Final = 40
_LONGEST: Final = 18
_MARK: Final = 3.8


@dataclass(frozen=True)
class LabelledPoint:
    """A point with a name; `low_*` and `high_*` are the ends of its intervals, NaN without one."""

    name: str
    x: float
    y: float
    series: int = 0
    hint: str = ""
    low_x: float = nan
    high_x: float = nan
    low_y: float = nan
    high_y: float = nan


@dataclass(frozen=True)
class PlotSize:
    """Width and height of a plot in pixels, and whether its labels are of small type."""

    width: float
    height: float


WIDE: Final = PlotSize(680, 430)
SMALL: Final = PlotSize(320, 250)


def scatter_plot(
    description: str,
    x_name: str,
    y_name: str,
    points: Sequence[LabelledPoint],
    size: PlotSize = WIDE,
    *,
    zero: bool = False,
    x_line: float = nan,
) -> Markup:
    """Points with their intervals; `zero`: a line at y = 0, `x_line`: one at this x.

    Of more than 40 points the labels would hide the marks, and are left out.
    """
    area = _area(points, size, x_line)
    longest = int(size.width / 8)
    x_name, y_name = shorten(x_name, longest), shorten(y_name, longest)
    parts = [area.axes(_ticks(area.x, size), _ticks(area.y, size), x_name)]
    parts.append(label(6, 13, y_name, "label", "start"))
    if zero and area.y.low < 0 < area.y.high:
        parts.append(straight_line(area.x.start, area.y(0), area.x.end, area.y(0), "kept"))
    if isfinite(x_line):
        x = area.x(x_line)
        parts.append(straight_line(x, area.y.start, x, area.y.end, "kept"))
    lines = [line for point in points for line in _whiskers(area, point)]
    parts += [
        straight_line(*line, f"line thin s{point.series % SERIES}")
        for point in points
        for line in _whiskers(area, point)
    ]
    parts += _marks_and_labels(
        [(area.x(point.x), area.y(point.y)) for point in points],
        points,
        Box(area.x.start + 1, area.y.end, size.width - 2, area.y.start - 2),
        lines,
    )
    return svg_image(size.width, size.height, description, *parts)


def map_plot(description: str, points: Sequence[LabelledPoint], size: PlotSize = WIDE) -> Markup:
    """Points of a plane, of which only the distances mean something: both axes have one unit."""
    margin, sides = 26.0, 70.0
    spans = [
        max(numbers) - min(numbers)
        for numbers in ([point.x for point in points], [point.y for point in points])
    ]
    unit = min(
        (size.width - 2 * sides) / max(spans[0], 1e-12),
        (size.height - 2 * margin) / max(spans[1], 1e-12),
    )
    if not max(spans):
        unit = 0.0
    middle = [
        (max(numbers) + min(numbers)) / 2
        for numbers in ([point.x for point in points], [point.y for point in points])
    ]
    places = [
        (
            size.width / 2 + unit * (point.x - middle[0]),
            size.height / 2 - unit * (point.y - middle[1]),
        )
        for point in points
    ]
    frame = element(
        "rect", x=1, y=1, width=size.width - 2, height=size.height - 2, class_="frame", rx=6
    )
    inside = Box(6, 4, size.width - 6, size.height - 4)
    parts = [frame, *_ruler(unit, size), *_marks_and_labels(places, points, inside)]
    return svg_image(size.width, size.height, description, *parts)


def _ruler(unit: float, size: PlotSize) -> list[Markup]:
    """What a distance on the map is."""
    if not unit:
        return []
    length = ticks(0, 110 / unit, 3)[1]
    left, y = 14.0, size.height - 12
    return [
        straight_line(left, y, left + length * unit, y, "ruler"),
        label(left + length * unit + 6, y + 4, tick_text(length), "tick", "start"),
    ]


def _area(points: Sequence[LabelledPoint], size: PlotSize, x_line: float) -> PlotArea:
    across = [value for point in points for value in (point.x, point.low_x, point.high_x)]
    up = [value for point in points for value in (point.y, point.low_y, point.high_y)]
    x, y = padded_range([*across, x_line], 0.08), padded_range(up, 0.08)
    return PlotArea(AxisScale(*x, 50, size.width - 14), AxisScale(*y, size.height - 40, 24))


def _ticks(scale: AxisScale, size: PlotSize) -> list[float]:
    return ticks(scale.low, scale.high, 6 if size.width > SMALL.width else 4)


def _whiskers(area: PlotArea, point: LabelledPoint) -> list[tuple[float, float, float, float]]:
    """The ends (x, y, x, y) of the intervals of a point."""
    x, y = area.x(point.x), area.y(point.y)
    whiskers = []
    if isfinite(point.low_x) and point.low_x < point.high_x:
        whiskers.append((area.x(point.low_x), y, area.x(point.high_x), y))
    if isfinite(point.low_y) and point.low_y < point.high_y:
        whiskers.append((x, area.y(point.low_y), x, area.y(point.high_y)))
    return whiskers


def _marks_and_labels(
    places: Sequence[tuple[float, float]],
    points: Sequence[LabelledPoint],
    frame: Box,
    lines: Sequence[tuple[float, float, float, float]] = (),
) -> list[Markup]:
    """Marks, and the labels that have room; pointing at a mark shows its name in any case."""
    lengths = [min(len(point.name), _LONGEST) for point in points]
    if len(points) > MOST_LABELS:
        frame = Box(0, 0, 0, 0)
    covered = [
        Box(min(x1, x2) - 1, min(y1, y2) - 1, max(x1, x2) + 1, max(y1, y2) + 1)
        for x1, y1, x2, y2 in lines
    ]
    parts = []
    for point, (x, y), place in zip(
        points, places, label_places(places, lengths, frame, covered), strict=True
    ):
        parts.append(marker(x, y, point.series, point.hint or point.name, _MARK))
        if place is not None:
            parts += _label(point, x, y, place)
    return parts


def _label(point: LabelledPoint, x: float, y: float, place: LabelPlace) -> list[Markup]:
    text = element(
        "text",
        shorten(point.name, _LONGEST),
        x=place.x,
        y=place.y + 3.6,
        class_="name",
        text_anchor="middle",
    )
    if not place.is_far:
        return [text]
    end_x = min(max(x, place.box.left), place.box.right)
    end_y = min(max(y, place.box.top), place.box.bottom)
    return [straight_line(x, y, end_x, end_y, "leader"), text]
