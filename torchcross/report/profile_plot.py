"""Performance profiles: the share of episodes that are better than each score, with its band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from torchcross.report.markup import Markup, element
from torchcross.report.svg import (
    SERIES,
    AxisScale,
    PlotArea,
    line_path,
    marker,
    svg_image,
    tick_text,
    ticks,
)

_WIDTH, _HEIGHT, _TOP = 640.0, 286.0, 20.0


@dataclass(frozen=True)
class ProfileLine:
    """The profile of one algorithm: percentages at scores, and the bounds of its band (or NaN)."""

    algorithm: str
    series: int
    scores: Sequence[float]
    shares: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def profile_plot(title: str, metric: str, lines: Sequence[ProfileLine], chance: float) -> Markup:
    """One line per algorithm; a dotted line at chance level, where it is one number."""
    scores = [score for line in lines for score in line.scores]
    low, high = min(scores), max(scores)
    area = PlotArea(AxisScale(low, high, 46, _WIDTH - 12), AxisScale(0, 100, _HEIGHT - 40, _TOP))
    parts = [area.axes(ticks(low, high, 8), ticks(0.0, 100.0, 5), metric)]
    if isfinite(chance) and low <= chance <= high:
        parts.append(area.chance_line(chance, is_level=False))
    parts += [_band(line, area) for line in lines if all(map(isfinite, line.low))]
    for line in lines:
        points = list(zip(map(area.x, line.scores), map(area.y, line.shares), strict=True))
        parts.append(line_path(points, line.series))
        middle = min(range(len(points)), key=lambda place: abs(line.shares[place] - 50))
        hint = f"{line.algorithm}: {line.shares[middle]:.0f} % of the episodes are better than"
        hint += f" {tick_text(round(line.scores[middle], 4))}"
        parts.append(marker(*points[middle], line.series, hint, 3.6))
    names = ", ".join(line.algorithm for line in lines)
    description = f"{title}: percentage of episodes that are better, by {metric}, of {names}"
    image = svg_image(_WIDTH, _HEIGHT, description, *parts)
    caption = element("figcaption", "Episodes that are better than a score (%)")
    return element("figure", caption, element("div", image, class_="scroll wide", tabindex=0))


def _band(line: ProfileLine, area: PlotArea) -> Markup:
    places = list(map(area.x, line.scores))
    edges = list(zip(places, map(area.y, line.high), strict=True))
    edges += reversed(list(zip(places, map(area.y, line.low), strict=True)))
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in edges) + "Z"
    return element("path", d=path, class_=f"cloud band s{line.series % SERIES}")
