"""The critical-difference diagram: mean ranks on a line, bars under those that do not differ."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, floor

from torchcross.report.markup import Markup, element
from torchcross.report.svg import Scale, marker, number, picture, rule, shortened, words

__all__ = ["rank_diagram"]

_WIDTH, _SIDE, _TOP, _TALL = 640.0, 185.0, 74.0, 24.0


def rank_diagram(
    names: Sequence[str],
    ranks: Sequence[float],
    groups: Sequence[Sequence[str]],
    distance: float,
    series: Sequence[int],
) -> Markup:
    """Names with mean ranks (1 is best, on the left), groups that the critical distance does not
    separate.
    """
    first, last = floor(min(ranks)), max(ceil(max(ranks)), floor(min(ranks)) + 1)
    x = Scale(first, last, _SIDE, _WIDTH - _SIDE)
    order = sorted(range(len(names)), key=lambda place: ranks[place])
    place_of = {name: place for place, name in enumerate(names)}
    bars = [sorted(ranks[place_of[name]] for name in group) for group in groups if len(group) > 1]
    below = _TOP + 14 + 9 * len(bars)
    half = (len(order) + 1) // 2
    height = below + _TALL * half + 8
    drawn = [*_ruler(x, first, last), *_distance(x, first, distance)]
    for number_, bar in enumerate(bars):
        y = _TOP + 12 + 9 * number_
        drawn.append(rule(x(bar[0]) - 3, y, x(bar[-1]) + 3, y, "group"))
    for row, place in enumerate(order[:half]):
        drawn += _name(names[place], ranks[place], x, below + _TALL * row, 0.0, series[place])
    for row, place in enumerate(reversed(order[half:])):
        drawn += _name(names[place], ranks[place], x, below + _TALL * row, _WIDTH, series[place])
    listed = "; ".join(f"{names[place]} {ranks[place]:.2f}" for place in order)
    description = f"Mean ranks, 1 is best: {listed}. Critical difference {distance:.2f}"
    return element(
        "figure", element("div", picture(_WIDTH, height, description, *drawn), class_="scroll wide")
    )


def _ruler(x: Scale, first: int, last: int) -> list[Markup]:
    drawn = [rule(x.start, _TOP, x.end, _TOP, "ruler")]
    for rank in range(first, last + 1):
        drawn += [
            rule(x(rank), _TOP - 7, x(rank), _TOP, "ruler"),
            words(x(rank), _TOP - 12, number(rank), "tick", "middle"),
        ]
    halves = (sum(pair) / 2 for pair in pairwise(range(first, last + 1)))
    return [*drawn, *(rule(x(middle), _TOP - 4, x(middle), _TOP, "ruler") for middle in halves)]


def _distance(x: Scale, first: int, distance: float) -> list[Markup]:
    end = x(first + distance)
    return [
        rule(x.start, 26, end, 26, "ruler"),
        rule(x.start, 21, x.start, 31, "ruler"),
        rule(end, 21, end, 31, "ruler"),
        words((x.start + end) / 2, 16, f"critical difference {distance:.2f}", "tick", "middle"),
    ]


def _name(name: str, rank: float, x: Scale, y: float, edge: float, series: int) -> list[Markup]:
    is_left = edge == 0
    inner = _SIDE - 14 if is_left else _WIDTH - _SIDE + 14
    anchor = "end" if is_left else "start"
    text = [shortened(name, 18), element("tspan", f" {rank:.2f}", class_="tick")]
    return [
        rule(x(rank), _TOP, x(rank), y, "axis"),
        rule(x(rank), y, inner, y, "axis"),
        marker(x(rank), _TOP, series, f"{name}: mean rank {rank:.3f}"),
        element("text", *text, x=inner - 4 if is_left else inner + 4, y=y + 4, text_anchor=anchor),
    ]
