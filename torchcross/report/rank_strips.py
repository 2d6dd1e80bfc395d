"""A line for each row of a ranking table: a dot for each target, and the mean with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

from torchcross.report.markup import Markup, element
from torchcross.report.svg import (
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

_WIDTH: Final = 680.0
_LEFT: Final = 170.0
_ROW: Final = 30.0


@dataclass(frozen=True)
class RankStrip:
    """The values of a row by target, and their mean with its interval, NaN without one."""

    name: str
    values: Mapping[str, float]
    mean: float
    low: float
    high: float
    series: int


def rank_strips(
    description: str,
    unit: str,
    strips: Sequence[RankStrip],
    limits: tuple[float, float] | None = None,
    line: float = float("nan"),
) -> Markup:
    """The strips under each other; a dotted line at `line`, such as a mean to beat.

    Intervals end where the axis does: `limits` are the least and the largest possible value.
    """
    shown = [value for strip in strips for value in (*strip.values.values(), strip.mean)]
    if limits is None:
        shown += [end for strip in strips for end in (strip.low, strip.high)]
    low, high = padded_range(shown)
    if limits is not None:
        low, high = limits
    bottom = 8 + _ROW * len(strips)
    area = PlotArea(AxisScale(low, high, _LEFT, _WIDTH - 16), AxisScale(0, 1, bottom, 6))
    marks = ticks(low, high, 6)
    parts = [straight_line(area.x(tick), 6, area.x(tick), bottom, "grid") for tick in marks]
    parts.append(area.axes(marks, [], unit))
    if isfinite(line):
        parts.append(straight_line(area.x(line), 6, area.x(line), bottom, "kept"))
    for row, strip in enumerate(strips):
        parts += _strip(strip, area.x, 8 + _ROW * (row + 0.5))
    return svg_image(_WIDTH, bottom + 40, description, *parts)


def _strip(strip: RankStrip, x: AxisScale, y: float) -> list[Markup]:
    name = label(_LEFT - 8, y + 4, shorten(strip.name, 24), "name", "end")
    if not isfinite(strip.mean):
        return [name, label(x.start + 4, y + 4, "undefined", "tick", "start")]
    parts = [name]
    for target, value in strip.values.items():
        if isfinite(value):
            hint = element("title", f"{strip.name}, {target}: {tick_text(round(value, 4))}")
            parts.append(element("circle", hint, cx=x(value), cy=y - 6, r=3, class_="dot"))
    if isfinite(strip.low):
        ends = (x(max(strip.low, x.low)), x(min(strip.high, x.high)))
        parts.append(straight_line(ends[0], y + 4, ends[1], y + 4, "whisker"))
    of_mean = f"{strip.name}: {tick_text(round(strip.mean, 4))}"
    parts.append(marker(x(strip.mean), y + 4, strip.series, of_mean, 4.2))
    return parts
