"""The plots of a report, as inline SVG: curves of training, scores against shots, strips of
episodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from torchcross.report.inputs import Curve
from torchcross.report.markup import Markup, element, join
from torchcross.report.svg import (
    SERIES,
    Frame,
    Scale,
    around,
    line_of,
    marker,
    number,
    picture,
    rule,
    shortened,
    thinned,
    ticks,
    words,
)

__all__ = ["MOST_DOTS", "Level", "Strip", "learning_curves", "shots_plot", "strips"]

MOST_DOTS = 250
"""More episodes than this are drawn as the outline of their histogram."""

_SMALL = (300.0, 210.0)


@dataclass(frozen=True)
class Level:
    """One algorithm at one number of shots: a mean with its interval, NaN where there is none."""

    shots: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Strip:
    """The scores of all episodes of one algorithm at one number of shots, and their mean."""

    algorithm: str
    series: int
    level: Level
    values: Sequence[float]


def learning_curves(title: str, quantity: str, curves: Sequence[tuple[Curve, int]]) -> Markup:
    """The curves of one plot, each with its series; where weights were kept, a dotted line."""
    width, height = _SMALL
    steps = [float(step) for curve, _ in curves for step in curve.steps]
    first, last = (min(steps), max(steps)) if steps else (0.0, 1.0)
    low, high = around([float(value) for curve, _ in curves for value in curve.values])
    frame = Frame(Scale(first, last, 46, width - 12), Scale(low, high, height - 40, 24))
    drawn = [frame.axes(_whole(ticks(first, last, 5)), ticks(low, high, 4), "step", "")]
    for curve, series in curves:
        if curve.best is not None:
            kept = frame.x(curve.best)
            drawn.append(rule(kept, frame.y.start, kept, frame.y.end, "kept"))
            value = float(curve.values[list(curve.steps).index(curve.best)])
            if isfinite(value):
                hint = f"{curve.label}: {number(value)} at step {curve.best}, kept"
                drawn.append(marker(kept, frame.y(value), series, hint))
        points = [
            (float(step), float(value))
            for step, value in zip(curve.steps, curve.values, strict=True)
        ]
        drawn.append(
            line_of([(frame.x(step), frame.y(value)) for step, value in thinned(points)], series)
        )
    names = ", ".join(dict.fromkeys(curve.label for curve, _ in curves))
    return _captioned(
        picture(width, height, f"{title}: {quantity} by step, of {names}", *drawn),
        title or quantity,
    )


def shots_plot(
    title: str, metric: str, lines: Sequence[tuple[str, int, Sequence[Level]]]
) -> Markup:
    """Mean scores against shots (each doubling takes the same room), with their intervals as
    whiskers.
    """
    width, height = _SMALL
    levels = [level for _, _, some in lines for level in some]
    shots = sorted({level.shots for level in levels})
    low, high = around([bound for level in levels for bound in (level.mean, level.low, level.high)])
    doubling = bool(shots) and shots[0] > 0
    margin = 1.2 if doubling else 1.0
    frame = Frame(
        Scale(shots[0] / margin, shots[-1] * margin, 46, width - 12, doubling),
        Scale(low, high, height - 40, 24),
    )
    drawn = [frame.axes(shots, ticks(low, high, 4), "shots", "")]
    for place, (name, series, some) in enumerate(lines):
        # Side by side, or whiskers of equal means would hide each other.
        aside = 3.0 * (place - (len(lines) - 1) / 2)
        points = [(frame.x(level.shots) + aside, frame.y(level.mean)) for level in some]
        drawn.append(line_of(points, series))
        for level, (x, y) in zip(some, points, strict=True):
            if isfinite(level.low) and isfinite(level.high):
                whisker = rule(
                    x, frame.y(level.low), x, frame.y(level.high), f"line s{series % SERIES}"
                )
                drawn.append(whisker)
            if isfinite(level.mean):
                drawn.append(
                    marker(
                        x,
                        y,
                        series,
                        f"{name}, {level.shots} shots: {number(round(level.mean, 4))}",
                        3.4,
                    )
                )
    names = ", ".join(name for name, _, _ in lines)
    return _captioned(
        picture(width, height, f"{title}: {metric} by shots, of {names}", *drawn), title
    )


def strips(target: str, metric: str, rows: Sequence[Strip]) -> Markup:
    """One line per algorithm and number of shots: every episode's score, the mean on top with its
    interval.
    """
    width, tall, head, foot, left = 640.0, 30.0, 6.0, 40.0, 150.0
    by_shots = sorted({strip.level.shots for strip in rows})
    height = head + tall * (len(rows) + len(by_shots)) + foot
    low, high = around([value for strip in rows for value in strip.values], 0.03)
    frame = Frame(Scale(low, high, left, width - 20), Scale(0, 1, height - foot, head))
    grid = [
        rule(frame.x(tick), frame.y.start, frame.x(tick), frame.y.end, "grid")
        for tick in ticks(low, high, 6)
    ]
    drawn = [*grid, frame.axes(ticks(low, high, 6), [], metric, "")]
    y = head
    for shots in by_shots:
        drawn.append(
            words(4, y + 20, f"{shots} {'shot' if shots == 1 else 'shots'}", "tick", "start")
        )
        y += tall
        for strip in (row for row in rows if row.level.shots == shots):
            drawn.append(_strip(strip, frame.x, y + tall / 2))
            y += tall
    description = f"{target}: {metric} of every episode, by algorithm and shots"
    return element(
        "figure", element("div", picture(width, height, description, *drawn), class_="scroll wide")
    )


def _strip(strip: Strip, x: Scale, y: float) -> Markup:
    """The episodes above, the mean and its interval below, so that neither hides the other."""
    level, above, below, room = strip.level, y - 3, y + 6, 6.5
    finite = [value for value in strip.values if isfinite(value)]
    name = element("text", shortened(strip.algorithm, 19), x=16, y=y + 4, text_anchor="start")
    draw = _dots if len(finite) <= MOST_DOTS else _cloud
    cloud = draw(finite, x, above, room, strip.series)
    if not isfinite(level.mean):
        return join([name, words(x.start + 4, y + 4, "no defined value", "tick", "start")])
    hint = f"{strip.algorithm}, {level.shots} shots: {number(round(level.mean, 4))}"
    whisker = (
        rule(x(level.low), below, x(level.high), below, "whisker")
        if isfinite(level.low)
        else Markup()
    )
    return join([name, cloud, whisker, marker(x(level.mean), below, strip.series, hint, 4.2)])


def _dots(values: Sequence[float], x: Scale, y: float, room: float, series: int) -> Markup:
    """A dot per episode; equal ones stand side by side, closer where there are many."""
    columns = Counter(round(x(value) / 3) for value in values)
    seen: Counter[int] = Counter()
    drawn = []
    for value in values:
        column = round(x(value) / 3)
        gap = min(3.2, 2 * room / max(columns[column], 1))
        offset = (seen[column] + 1) // 2 * (-1) ** seen[column] * gap
        seen[column] += 1
        drawn.append(f"M{x(value):.1f} {y + offset:.1f}h0")
    return (
        element("path", d="".join(drawn), class_=f"dots s{series % SERIES}") if drawn else Markup()
    )


def _cloud(values: Sequence[float], x: Scale, y: float, room: float, series: int) -> Markup:
    """The histogram of many episodes, mirrored at its middle line."""
    columns = Counter(round(x(value) / 5) for value in values)
    most = max(columns.values())
    places = range(min(columns) - 1, max(columns) + 2)
    halves = [(place * 5.0, room * columns[place] / most) for place in places]
    outline = [
        *((at, y - half) for at, half in halves),
        *((at, y + half) for at, half in reversed(halves)),
    ]
    path = "M" + "L".join(f"{at:.1f} {edge:.1f}" for at, edge in outline) + "Z"
    return element("path", d=path, class_=f"cloud s{series % SERIES}")


def _whole(found: Sequence[float]) -> list[float]:
    """There is no step one and a half."""
    return [tick for tick in found if tick == round(tick)]


def _captioned(drawing: Markup, title: str) -> Markup:
    return element("figure", element("figcaption", element("strong", title)), drawing)
