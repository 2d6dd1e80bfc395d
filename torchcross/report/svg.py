"""Pictures by hand: scales, ticks, axes, marks. Colours are classes, so that one picture fits light
and dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import ceil, floor, isfinite, log2, log10

from torchcross.report.markup import Markup, element, join

__all__ = [
    "SERIES",
    "Frame",
    "Scale",
    "around",
    "line_of",
    "marker",
    "number",
    "picture",
    "rule",
    "shortened",
    "thinned",
    "ticks",
    "words",
]

SERIES = 8
_MARKS = ("circle", "square", "triangle", "diamond")
_CORNERS: dict[str, list[tuple[float, float]]] = {
    "square": [(-1, -1), (1, -1), (1, 1), (-1, 1)],
    "triangle": [(0, -1.3), (1.2, 0.9), (-1.2, 0.9)],
    "diamond": [(0, -1.4), (1.2, 0), (0, 1.4), (-1.2, 0)],
}


@dataclass(frozen=True)
class Scale:
    """Values `low`..`high` onto pixels `start`..`end`; `doubling` gives each doubling the same
    room.
    """

    low: float
    high: float
    start: float
    end: float
    doubling: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = (
            log2(part) if self.doubling else part for part in (self.low, self.high, value)
        )
        if high == low:
            return (self.start + self.end) / 2
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within low..high."""
    if not (isfinite(low) and isfinite(high)) or high <= low:
        return [low] if isfinite(low) else []
    raw = (high - low) / max(about, 1)
    power = 10.0 ** floor(log10(raw))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def around(values: Sequence[float], margin: float = 0.06) -> tuple[float, float]:
    """The range of the finite values with a margin; 0..1 without any."""
    finite = [value for value in values if isfinite(value)]
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    room = (high - low) * margin or abs(high) * margin or 0.5
    return low - room, high + room


@dataclass(frozen=True)
class Frame:
    """The plotting area of a picture: its two scales, and where its edges are."""

    x: Scale
    y: Scale

    def axes(
        self, x_ticks: Sequence[float], y_ticks: Sequence[float], x_name: str, y_name: str
    ) -> Markup:
        left, right, bottom, top = self.x.start, self.x.end, self.y.start, self.y.end
        grid = [rule(left, self.y(tick), right, self.y(tick), "grid") for tick in y_ticks]
        down = [words(left - 6, self.y(tick) + 4, number(tick), "tick", "end") for tick in y_ticks]
        along = [
            join([rule(self.x(tick), bottom, self.x(tick), bottom + 4, "axis"), self._below(tick)])
            for tick in x_ticks
        ]
        titles = [
            words((left + right) / 2, bottom + 32, x_name, "label", "middle"),
            words(left, top - 8, y_name, "label", "start"),
        ]
        return join([*grid, rule(left, bottom, right, bottom, "axis"), *down, *along, *titles])

    def _below(self, tick: float) -> Markup:
        return words(self.x(tick), self.y.start + 17, number(tick), "tick", "middle")


def number(value: float) -> str:
    if abs(value) >= 10_000 and value == round(value):
        return f"{value / 1000:g}k"
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


def rule(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def words(x: float, y: float, text: str, kind: str, anchor: str) -> Markup:
    return element("text", text, x=x, y=y, class_=kind, text_anchor=anchor)


def shortened(text: str, length: int) -> Markup:
    """The text, cut where it is too long for its place; the whole of it shows when pointed at."""
    if len(text) <= length:
        return join([text])
    return join([text[: length - 1] + "…", element("title", text)])


def line_of(points: Sequence[tuple[float, float]], series: int) -> Markup:
    """A line through the points, interrupted where one is not finite; a point between two gaps is a
    dot.
    """
    steps: list[str] = []
    for is_known, stretch in groupby(
        points, key=lambda point: isfinite(point[0]) and isfinite(point[1])
    ):
        if is_known:
            places = [f"{x:.1f} {y:.1f}" for x, y in stretch]
            steps.append("M" + "L".join(places) + ("h0" if len(places) == 1 else ""))
    return (
        element("path", d="".join(steps), class_=f"line s{series % SERIES}") if steps else Markup()
    )


def marker(x: float, y: float, series: int, title: str = "", size: float = 4.0) -> Markup:
    """A mark whose shape and colour both tell the series."""
    # A ninth series has the first one's colour again, but another shape.
    kind = _MARKS[(series + series // SERIES) % len(_MARKS)]
    style = f"mark s{series % SERIES}"
    inside = [element("title", title)] if title else []
    if kind == "circle":
        return element("circle", *inside, cx=x, cy=y, r=size, class_=style)
    outline = " ".join(
        f"{x + right * size:.1f},{y + down * size:.1f}" for right, down in _CORNERS[kind]
    )
    return element("polygon", *inside, points=outline, class_=style)


def thinned(points: Sequence[tuple[float, float]], most: int = 400) -> list[tuple[float, float]]:
    """At most about `most` of the points: of each stretch the lowest, the highest and a gap, so
    that none is lost.
    """
    if len(points) <= most:
        return list(points)
    edges = [len(points) * part // (most // 2) for part in range(most // 2 + 1)]
    kept: set[int] = {0, len(points) - 1}
    for first, last in pairwise(edges):
        finite = [position for position in range(first, last) if isfinite(points[position][1])]
        gaps = [position for position in range(first, last) if not isfinite(points[position][1])]
        kept.update(gaps[:1])
        if finite:
            kept.update(
                (
                    min(finite, key=lambda at: points[at][1]),
                    max(finite, key=lambda at: points[at][1]),
                )
            )
    return [points[position] for position in sorted(kept)]


def picture(width: float, height: float, description: str, *parts: str) -> Markup:
    """An inline SVG that says in words what it shows."""
    return element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=description,
    )
