"""The plots of a report, as inline SVG: learning curves, scores against shots, episodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, nan

from torchcross.records.shots import ALL_SHOTS
from torchcross.report.inputs import Curve
from torchcross.report.markup import Markup, element, join
from torchcross.report.numbers import shots_title
from torchcross.report.svg import (
    SERIES,
    AxisScale,
    PlotArea,
    label,
    line_path,
    marker,
    padded_range,
    shorten,
    straight_line,
    svg_image,
    thin_points,
    tick_text,
    ticks,
)

MOST_DOTS = 250
"""More episodes than this are drawn as the outline of their histogram."""

_WIDTH, _HEIGHT = 300.0, 210.0
_STRIPS_WIDTH, _STRIP_HEIGHT = 640.0, 30.0


@dataclass(frozen=True)
class ShotsPoint:
    """One algorithm at one number of shots: a mean with its interval, NaN where there is none."""

    shots: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class EpisodeStrip:
    """The scores of all episodes of one algorithm at one number of shots, and their mean."""

    algorithm: str
    series: int
    point: ShotsPoint
    values: Sequence[float]


def learning_curves(title: str, quantity: str, curves: Sequence[tuple[Curve, int]]) -> Markup:
    """The curves of one plot, each with its series; a dotted line where weights were kept."""
    steps = [float(step) for curve, _ in curves for step in curve.steps]
    first, last = (min(steps), max(steps)) if steps else (0.0, 1.0)
    chance = next((curve.chance for curve, _ in curves if isfinite(curve.chance)), nan)
    values_shown = [float(value) for curve, _ in curves for value in curve.values]
    low, high = padded_range([*values_shown, chance])
    area = PlotArea(AxisScale(first, last, 46, _WIDTH - 12), AxisScale(low, high, _HEIGHT - 40, 24))
    # There is no step one and a half.
    whole_ticks = [tick for tick in ticks(first, last, 5) if tick == round(tick)]
    parts = [area.axes(whole_ticks, ticks(low, high, 4), "step", quantity)]
    parts.append(area.chance_line(chance))
    for curve, series in curves:
        values = dict(zip(map(float, curve.steps), map(float, curve.values), strict=True))
        if curve.best is not None:
            x, value = area.x(curve.best), values[curve.best]
            parts.append(straight_line(x, area.y.start, x, area.y.end, "kept"))
            if isfinite(value):
                hint = f"{curve.label}: {tick_text(value)} at step {curve.best}, kept"
                parts.append(marker(x, area.y(value), series, hint))
        points = thin_points(list(values.items()))
        parts.append(line_path([(area.x(step), area.y(value)) for step, value in points], series))
    names = ", ".join(dict.fromkeys(curve.label for curve, _ in curves))
    description = f"{title}: {quantity} by step, of {names}"
    return _figure(svg_image(_WIDTH, _HEIGHT, description, *parts), title or quantity)


def shots_plot(
    title: str,
    metric: str,
    lines: Sequence[tuple[str, int, Sequence[ShotsPoint]]],
    chance: float = nan,
    beside: Sequence[ShotsPoint] = (),
) -> Markup:
    """Mean scores against shots, with their intervals as whiskers, and a line at chance level.

    `beside` are the points of plots beside this one, so that all have the same scale. Each doubling
    of the shots takes the same room. All labels are no number of shots: what they give is a dashed
    level line.
    """
    points = [point for _, _, line in lines for point in line]
    shots = sorted({point.shots for point in points} - {ALL_SHOTS})
    bounds = [y for point in (*points, *beside) for y in (point.mean, point.low, point.high)]
    low, high = padded_range([*bounds, chance])
    doubling = bool(shots) and shots[0] > 0
    margin = 1.2 if doubling else 1.0
    area = PlotArea(
        AxisScale(shots[0] / margin, shots[-1] * margin, 46, _WIDTH - 12, doubling),
        AxisScale(low, high, _HEIGHT - 40, 24),
    )
    parts = [area.axes(shots, ticks(low, high, 4), "shots", metric)]
    parts.append(area.chance_line(chance))
    for place, (name, series, line) in enumerate(lines):
        # Side by side: whiskers of equal means would hide each other.
        shift = 3.0 * (place - (len(lines) - 1) / 2)
        parts += [
            _level_line(area, name, series, point)
            for point in line
            if point.shots == ALL_SHOTS and isfinite(point.mean)
        ]
        numbered = [point for point in line if point.shots != ALL_SHOTS]
        path = [(area.x(point.shots) + shift, area.y(point.mean)) for point in numbered]
        parts.append(line_path(path, series))
        for point, (x, y) in zip(numbered, path, strict=True):
            if isfinite(point.low) and isfinite(point.high):
                ends = area.y(point.low), area.y(point.high)
                parts.append(straight_line(x, ends[0], x, ends[1], f"line s{series % SERIES}"))
            if isfinite(point.mean):
                parts.append(marker(x, y, series, _point_hint(name, point), 3.4))
    names = ", ".join(name for name, _, _ in lines)
    description = f"{title}: {metric} by shots, of {names}"
    return _figure(svg_image(_WIDTH, _HEIGHT, description, *parts), title)


def _level_line(area: PlotArea, name: str, series: int, point: ShotsPoint) -> Markup:
    y = area.y(point.mean)
    style = f"line level s{series % SERIES}"
    line = straight_line(area.x.start, y, area.x.end, y, style)
    return join([line, marker(area.x.end, y, series, _point_hint(name, point), 3.4)])


def episode_strips(
    target: str, metric: str, strips: Sequence[EpisodeStrip], chance: float = nan
) -> Markup:
    """One line per algorithm and number of shots, and an upright line at chance level.

    It shows the score of every episode, and below them the mean with its interval.
    """
    top, bottom, left = 18.0, 40.0, 150.0
    by_shots = sorted({strip.point.shots for strip in strips})
    height = top + _STRIP_HEIGHT * (len(strips) + len(by_shots)) + bottom
    values = [value for strip in strips for value in strip.values]
    low, high = padded_range([*values, chance], 0.03)
    x_scale = AxisScale(low, high, left, _STRIPS_WIDTH - 20)
    area = PlotArea(x_scale, AxisScale(0, 1, height - bottom, top))
    marks = ticks(low, high, 6)
    parts = [
        straight_line(area.x(mark), area.y.start, area.x(mark), area.y.end, "grid")
        for mark in marks
    ]
    parts += [area.axes(marks, [], metric), area.chance_line(chance, is_level=False)]
    y = top
    for shots in by_shots:
        parts.append(label(4, y + 20, shots_title(shots), "tick", "start"))
        y += _STRIP_HEIGHT
        for strip in strips:
            if strip.point.shots == shots:
                parts.append(_strip(strip, area.x, y + _STRIP_HEIGHT / 2))
                y += _STRIP_HEIGHT
    description = f"{target}: {metric} of every episode, by algorithm and shots"
    image = svg_image(_STRIPS_WIDTH, height, description, *parts)
    return element("figure", element("div", image, class_="scroll wide", tabindex=0))


def _strip(strip: EpisodeStrip, x: AxisScale, y: float) -> Markup:
    """The episodes above, the mean and its interval below, so that neither hides the other."""
    point, above, below, room = strip.point, y - 3, y + 6, 6.5
    name = element("text", shorten(strip.algorithm, 19), x=16, y=y + 4, text_anchor="start")
    if not isfinite(point.mean):
        return join([name, label(x.start + 4, y + 4, "no defined value", "tick", "start")])
    finite = [value for value in strip.values if isfinite(value)]
    draw_episodes = _dots if len(finite) <= MOST_DOTS else _histogram
    parts = [name, draw_episodes(finite, x, above, room, strip.series)]
    if isfinite(point.low):
        parts.append(straight_line(x(point.low), below, x(point.high), below, "whisker"))
    hint = _point_hint(strip.algorithm, point)
    return join([*parts, marker(x(point.mean), below, strip.series, hint, 4.2)])


def _point_hint(algorithm: str, point: ShotsPoint) -> str:
    return f"{algorithm}, {shots_title(point.shots)}: {tick_text(round(point.mean, 4))}"


def _dots(values: Sequence[float], x: AxisScale, y: float, room: float, series: int) -> Markup:
    """A dot per episode; equal ones stand side by side, closer where there are many."""
    columns = [round(x(value) / 3) for value in values]
    sizes, counts = Counter(columns), Counter[int]()
    dots = []
    for value, column in zip(values, columns, strict=True):
        gap = min(3.2, 2 * room / sizes[column])
        # 0, -1, 1, -2, 2, ...: the column grows from its middle.
        offset = (counts[column] + 1) // 2 * (-1) ** counts[column] * gap
        counts[column] += 1
        dots.append(f"M{x(value):.1f} {y + offset:.1f}h0")
    return element("path", d="".join(dots), class_=f"dots s{series % SERIES}")


def _histogram(values: Sequence[float], x: AxisScale, y: float, room: float, series: int) -> Markup:
    """The outline of the histogram of many episodes, mirrored at its middle line."""
    counts = Counter(round(x(value) / 5) for value in values)
    places = range(min(counts) - 1, max(counts) + 2)
    halves = [(place * 5.0, room * counts[place] / max(counts.values())) for place in places]
    outline = [(place, y - half) for place, half in halves]
    outline += [(place, y + half) for place, half in reversed(halves)]
    path = "M" + "L".join(f"{place:.1f} {edge:.1f}" for place, edge in outline) + "Z"
    return element("path", d=path, class_=f"cloud s{series % SERIES}")


def _figure(drawing: Markup, title: str) -> Markup:
    return element("figure", element("figcaption", element("strong", title)), drawing)
