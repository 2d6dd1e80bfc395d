"""A tree of merged groups (a dendrogram): names on the left, heights to the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from torchcross.report.markup import Markup
from torchcross.report.svg import (
    AxisScale,
    label,
    shorten,
    straight_line,
    svg_image,
    tick_text,
    ticks,
)

_WIDTH: Final = 680.0
_LEFT: Final = 150.0
_ROW: Final = 24.0
_LONGEST: Final = 21


def tree_plot(
    description: str,
    names: Sequence[str],
    merges: Sequence[tuple[int, int, float]],
    order: Sequence[int],
    unit: str,
) -> Markup:
    """The tree of merges (one, other, height).

    Numbers below len(names) are names, the others merges in their order, as SciPy counts them.
    `order` is that of the names from top to bottom.
    """
    bottom = 10 + _ROW * len(names)
    highest = max((height for _, _, height in merges), default=0.0) or 1.0
    x = AxisScale(0, highest * 1.04, _LEFT, _WIDTH - 16)
    parts = []
    for tick in ticks(0, highest, 5):
        parts.append(straight_line(x(tick), 4, x(tick), bottom, "grid"))
        parts.append(label(x(tick), bottom + 16, tick_text(tick), "tick", "middle"))
    parts.append(straight_line(x.start, bottom, x.end, bottom, "axis"))
    parts.append(label((x.start + x.end) / 2, bottom + 32, shorten(unit, 60), "label", "middle"))
    places: list[tuple[float, float]] = [(0.0, 0.0)] * len(names)
    for row, number in enumerate(order):
        y = 10 + _ROW * (row + 0.5)
        places[number] = (x(0), y)
        name = shorten(names[number], _LONGEST)
        parts.append(label(_LEFT - 8, y + 4, name, "name", "end"))
    for one, other, height in merges:
        (x1, y1), (x2, y2), end = places[one], places[other], x(height)
        parts.append(straight_line(x1, y1, end, y1, "branch"))
        parts.append(straight_line(x2, y2, end, y2, "branch"))
        parts.append(straight_line(end, y1, end, y2, "branch"))
        places.append((end, (y1 + y2) / 2))
    return svg_image(_WIDTH, bottom + 40, description, *parts)
