"""The critical-difference diagram: mean ranks on a line, bars under those that do not differ."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor

from torchcross.report.markup import Markup, element
from torchcross.report.svg import AxisScale, label, marker, shorten, straight_line, svg_image

_WIDTH, _SIDE, _TOP, _ROW_HEIGHT = 640.0, 185.0, 74.0, 24.0
_BAR_HEIGHT = 9


def rank_diagram(
    names: Sequence[str],
    ranks: Sequence[float],
    groups: Sequence[Sequence[str]],
    distance: float,
    series: Sequence[int],
    *,
    is_grey: bool = False,
) -> Markup:
    """Names with their mean ranks; 1 is the best, on the left.

    A bar joins each of the `groups`, whose ranks are tied: they lie within the critical `distance`.
    The diagram is grey where no distance in it is a difference.
    """
    first = floor(min(ranks))
    last = max(ceil(max(ranks)), first + 1)
    x = AxisScale(first, last, _SIDE, _WIDTH - _SIDE)
    parts = [*_ruler(x, first, last), *_distance_ruler(x, first, distance)]
    rank_of = dict(zip(names, ranks, strict=True))
    below = _TOP + 14
    for group in groups:
        if len(group) > 1:
            tied = [rank_of[name] for name in group]
            y = below - 2
            parts.append(straight_line(x(min(tied)) - 3, y, x(max(tied)) + 3, y, "group"))
            below += _BAR_HEIGHT
    order = sorted(range(len(names)), key=lambda place: ranks[place])
    # The better half of the names stands on the left, the other on the right, from the outside in.
    half = (len(order) + 1) // 2
    sides = ((order[:half], 0.0), (order[half:][::-1], _WIDTH))
    for places, edge in sides:
        for row, place in enumerate(places):
            y = below + _ROW_HEIGHT * row
            parts += _name(names[place], ranks[place], x, y, edge, series[place])
    height = below + _ROW_HEIGHT * half + 8
    listing = "; ".join(f"{names[place]} {ranks[place]:.2f}" for place in order)
    description = f"Mean ranks, 1 is best: {listing}. Critical difference {distance:.2f}"
    if is_grey:
        description += ". It is grey: Friedman's test finds no difference"
    image = svg_image(_WIDTH, height, description, *parts)
    style = "scroll wide grey" if is_grey else "scroll wide"
    return element("figure", element("div", image, class_=style, tabindex=0))


def _ruler(x: AxisScale, first: int, last: int) -> list[Markup]:
    parts = [straight_line(x.start, _TOP, x.end, _TOP, "ruler")]
    parts.append(label(x.start - 14, _TOP - 12, "mean rank, 1 is the best", "tick", "end"))
    for rank in range(first, last + 1):
        parts.append(straight_line(x(rank), _TOP - 7, x(rank), _TOP, "ruler"))
        parts.append(label(x(rank), _TOP - 12, str(rank), "tick", "middle"))
    for rank in range(first, last):
        middle = x(rank + 0.5)
        parts.append(straight_line(middle, _TOP - 4, middle, _TOP, "ruler"))
    return parts


def _distance_ruler(x: AxisScale, first: int, distance: float) -> list[Markup]:
    end = x(first + distance)
    text = f"critical difference {distance:.2f}"
    return [
        straight_line(x.start, 26, end, 26, "ruler"),
        straight_line(x.start, 21, x.start, 31, "ruler"),
        straight_line(end, 21, end, 31, "ruler"),
        label((x.start + end) / 2, 16, text, "tick", "middle"),
    ]


def _name(name: str, rank: float, x: AxisScale, y: float, edge: float, series: int) -> list[Markup]:
    """The name at its edge, joined to its rank on the ruler."""
    if edge == 0:
        inner, anchor, text_x = _SIDE - 14, "end", _SIDE - 18
    else:
        inner, anchor, text_x = _WIDTH - _SIDE + 14, "start", _WIDTH - _SIDE + 18
    text = [shorten(name, 18), element("tspan", f" {rank:.2f}", class_="tick")]
    return [
        straight_line(x(rank), _TOP, x(rank), y, "axis"),
        straight_line(x(rank), y, inner, y, "axis"),
        marker(x(rank), _TOP, series, f"{name}: mean rank {rank:.3f}"),
        element("text", *text, x=text_x, y=y + 4, text_anchor=anchor),
    ]
