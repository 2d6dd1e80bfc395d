"""SVG drawn by hand: scales, ticks, axes, marks.

Colours are CSS classes, so that one drawing fits the light page and the dark one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import ceil, floor, isfinite, log2, log10

from torchcross.report.markup import Markup, element, join

SERIES = 8
"""How many colours the series have."""

_MARKS = ("circle", "square", "triangle", "diamond")
_CORNERS: dict[str, list[tuple[float, float]]] = {
    "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    "triangle": [(0, -1.3), (1.2, 0.9), (-1.2, 0.9)],
    "diamond": [(0, -1.4), (1.2, 0), (0, 1.4), (-1.2, 0)],
}


@dataclass(frozen=True)
class AxisScale:
    """Maps the values `low`..`high` to the pixels `start`..`end`.

    With `doubling` each doubling takes the same room.
    """

    low: float
    high: float
    start: float
    end: float
    doubling: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.doubling:
            low, high, value = log2(low), log2(high), log2(value)
        if high == low:
            return (self.start + self.end) / 2
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within low..high."""
    if not (isfinite(low) and isfinite(high)) or high <= low:
        return [low] if isfinite(low) else []
    smallest_step = (high - low) / max(about, 1)
    power = 10.0 ** floor(log10(smallest_step))
    # .999 and 1e-9: rounding must not move a step to the next one, or lose the tick at an end.
    step = power * next(f for f in (1, 2, 5, 10) if f * power >= smallest_step * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def padded_range(values: Sequence[float], margin: float = 0.06) -> tuple[float, float]:
    """The range of the finite values with a margin; 0..1 without any."""
    finite = [value for value in values if isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    room = (high - low) * margin or abs(high) * margin or 0.5
    return low - room, high + room


@dataclass(frozen=True)
class PlotArea:
    """The area of a plot between its axes."""

    x: AxisScale
    y: AxisScale

    def axes(
        self, x_ticks: Sequence[float], y_ticks: Sequence[float], x_name: str, y_name: str = ""
    ) -> Markup:
        """Both axes with their names; `y_name` stands above its axis."""
        left, right, bottom = self.x.start, self.x.end, self.y.start
        parts = [straight_line(left, self.y(y), right, self.y(y), "grid") for y in y_ticks]
        parts.append(straight_line(left, bottom, right, bottom, "axis"))
        parts += [label(left - 6, self.y(y) + 4, tick_text(y), "tick", "end") for y in y_ticks]
        for tick in x_ticks:
            x = self.x(tick)
            parts.append(straight_line(x, bottom, x, bottom + 4, "axis"))
            parts.append(label(x, bottom + 17, tick_text(tick), "tick", "middle"))
        parts.append(label((left + right) / 2, bottom + 32, x_name, "label", "middle"))
        if y_name:
            parts.append(label(4, self.y.end - 10, y_name, "label", "start"))
        return join(parts)

    def chance_line(self, chance: float, *, is_level: bool = True) -> Markup:
        """A dashed line at chance level with its name; upright where scores are on the x axis.

        The name of an upright line stands above the area, where no curve can run through it.
        """
        if not isfinite(chance):
            return Markup()
        if is_level:
            y, right = self.y(chance), self.x.end
            line = straight_line(self.x.start, y, right, y, "chance")
            middle = (self.x.start + right) / 2
            return join([line, label(middle, y - 3, "chance", "tick halo", "middle")])
        x, top = self.x(chance), self.y.end
        line = straight_line(x, self.y.start, x, top, "chance")
        # Half of the name is wider than the margin on the right.
        return join([line, label(min(x, self.x.end - 8), top - 4, "chance", "tick", "middle")])


def tick_text(value: float) -> str:
    if abs(value) >= 10_000 and value == round(value):
        return f"{value / 1000:g}k"
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


def straight_line(x1: float, y1: float, x2: float, y2: float, style: str) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=style)


def label(x: float, y: float, text: str, style: str, anchor: str) -> Markup:
    return element("text", text, x=x, y=y, class_=style, text_anchor=anchor)


def shorten(text: str, length: int) -> Markup:
    """The text without its middle where it is too long for its place; pointing at it shows all.

    Both ends stay: rows of several backbones begin alike, or end alike.
    """
    if len(text) <= length:
        return join([text])
    first = length // 2
    return join(
        [f"{text[:first]}…{text[len(text) - (length - 1 - first) :]}", element("title", text)]
    )


def line_path(points: Sequence[tuple[float, float]], series: int) -> Markup:
    """A line through the points, interrupted where one is not finite.

    A point between two gaps is a dot.
    """
    steps: list[str] = []
    for is_known, stretch in groupby(points, key=lambda point: all(map(isfinite, point))):
        if is_known:
            places = [f"{x:.1f} {y:.1f}" for x, y in stretch]
            steps.append("M" + "L".join(places) + ("h0" if len(places) == 1 else ""))
    if not steps:
        return Markup()
    return element("path", d="".join(steps), class_=f"line s{series % SERIES}")


def marker(x: float, y: float, series: int, title: str = "", size: float = 4.0) -> Markup:
    """A mark whose shape and colour both identify the series."""
    # A ninth series has the first one's colour again, but another shape.
    shape = _MARKS[(series + series // SERIES) % len(_MARKS)]
    style = f"mark s{series % SERIES}"
    hint = [element("title", title)] if title else []
    if shape == "circle":
        return element("circle", *hint, cx=x, cy=y, r=size, class_=style)
    outline = " ".join(
        f"{x + right * size:.1f},{y + down * size:.1f}" for right, down in _CORNERS[shape]
    )
    return element("polygon", *hint, points=outline, class_=style)


def thin_points(
    points: Sequence[tuple[float, float]], most: int = 400
) -> list[tuple[float, float]]:
    """At most about `most` of the points.

    Each stretch keeps its lowest point, its highest and one gap: no extreme and no gap is lost.
    """
    if len(points) <= most:
        return list(points)
    edges = [len(points) * part // (most // 2) for part in range(most // 2 + 1)]
    places: set[int] = {0, len(points) - 1}
    for first, last in pairwise(edges):
        stretch = sorted(range(first, last), key=lambda place: points[place][1])
        finite = [place for place in stretch if isfinite(points[place][1])]
        gaps = [place for place in range(first, last) if not isfinite(points[place][1])]
        places.update(gaps[:1], finite[:1], finite[-1:])
    return [points[place] for place in sorted(places)]


def svg_image(width: float, height: float, description: str, *parts: str) -> Markup:
    """An inline SVG that says in words what it shows."""
    return element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=description,
    )
