"""A small plot of one curve as SVG, for notebooks: reports have plots of their own."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import isfinite

_WIDTH, _HEIGHT, _EDGE = 320, 120, 14
_TEXT = 'font-size="11" font-family="sans-serif" fill="currentColor"'


def curve_svg(title: str, points: Sequence[tuple[float, float]]) -> str:
    """A line through the points, with the ends of both axes; "" for fewer than two finite ones."""
    finite = [(x, y) for x, y in points if isfinite(x) and isfinite(y)]
    if len(finite) < 2:
        return ""
    (left, right), (low, high) = (_ends([point[axis] for point in finite]) for axis in (0, 1))
    places = " ".join(
        f"{_place(x, left, right, _WIDTH):.1f},{_HEIGHT - _place(y, low, high, _HEIGHT):.1f}"
        for x, y in finite
    )
    name = escape(title)
    bottom, far = _HEIGHT + 8, _WIDTH - _EDGE
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _EDGE}" width="{_WIDTH}" role="img"'
        f' aria-label="{name}: {low:.4g} to {high:.4g}"><polyline points="{places}" fill="none"'
        f' stroke="#0072B2" stroke-width="1.5"/><text x="{_EDGE}" y="11" {_TEXT}>{name}: {low:.4g}'
        f' to {high:.4g}</text><text x="{_EDGE}" y="{bottom}" {_TEXT}>{left:g}</text><text'
        f' x="{far}" y="{bottom}" text-anchor="end" {_TEXT}>{right:g}</text></svg>'
    )


def _ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _place(value: float, low: float, high: float, length: int) -> float:
    """Where a value stands between the edges; in the middle where all are equal."""
    share = (value - low) / (high - low) if high > low else 0.5
    return _EDGE + share * (length - 2 * _EDGE)
