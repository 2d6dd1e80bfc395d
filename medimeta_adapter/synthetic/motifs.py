"""The vocabulary of content: 48 motifs (16 shapes, each solid, hollow or striped), shared by all
datasets and domains.

A motif is a signed distance over coordinates (u, v) in units of its radius, negative inside. Only
operations that IEEE 754 rounds correctly are used (+ - * / sqrt abs min max floor), so the bits are
the same on every machine.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["FILLS", "MOTIFS", "SHAPES", "motif_name", "stamp"]

Floats = NDArray[np.float32]
Shape = Callable[[Floats, Floats], Floats]

_ONE = np.float32(1)


def _radius(u: Floats, v: Floats) -> Floats:
    return np.sqrt(u * u + v * v)


def _box(u: Floats, v: Floats, width: float, height: float) -> Floats:
    """A rectangle of half sides `width` and `height`."""
    return np.maximum(np.abs(u) - np.float32(width), np.abs(v) - np.float32(height))


def _disc(u: Floats, v: Floats) -> Floats:
    return _radius(u, v) - np.float32(0.85)


def _square(u: Floats, v: Floats) -> Floats:
    return _box(u, v, 0.75, 0.75)


def _triangle(u: Floats, v: Floats) -> Floats:
    sides = np.abs(u) * np.float32(0.8660254) + v * np.float32(0.5)
    return np.maximum(sides, -v) - np.float32(0.5)


def _plus(u: Floats, v: Floats) -> Floats:
    return np.minimum(_box(u, v, 0.26, 0.9), _box(u, v, 0.9, 0.26))


def _bar(u: Floats, v: Floats) -> Floats:
    return _box(u, v, 0.3, 0.95)


def _ring(u: Floats, v: Floats) -> Floats:
    outline: Floats = np.abs(_radius(u, v) - np.float32(0.68)) - np.float32(0.2)
    return outline


def _frame(u: Floats, v: Floats) -> Floats:
    return np.abs(np.maximum(np.abs(u), np.abs(v)) - np.float32(0.62)) - np.float32(0.17)


def _half_disc(u: Floats, v: Floats) -> Floats:
    outline: Floats = np.maximum(_radius(u, v) - np.float32(0.9), v)
    return outline


def _crescent(u: Floats, v: Floats) -> Floats:
    outline: Floats = np.maximum(
        _radius(u, v) - np.float32(0.9), np.float32(0.7) - _radius(u - np.float32(0.5), v)
    )
    return outline


def _corner(u: Floats, v: Floats) -> Floats:
    return np.minimum(
        _box(u + np.float32(0.5), v, 0.25, 0.8), _box(u, v - np.float32(0.55), 0.75, 0.25)
    )


def _tee(u: Floats, v: Floats) -> Floats:
    return np.minimum(_box(u, v, 0.22, 0.8), _box(u, v + np.float32(0.58), 0.8, 0.22))


def _two_bars(u: Floats, v: Floats) -> Floats:
    return _box(np.abs(u) - np.float32(0.5), v, 0.22, 0.85)


def _two_dots(u: Floats, v: Floats) -> Floats:
    return _radius(np.abs(u) - np.float32(0.52), v) - np.float32(0.38)


def _trefoil(u: Floats, v: Floats) -> Floats:
    """Radius 0.6 + 0.3 cos(3 theta), by the multiple-angle polynomial."""
    r = np.maximum(_radius(u, v), np.float32(0.05))
    wave = (u * u * u - np.float32(3) * u * v * v) / (r * r * r)
    outline: Floats = r - (np.float32(0.6) + np.float32(0.3) * wave)
    return outline


def _star(u: Floats, v: Floats) -> Floats:
    """Radius 0.6 + 0.3 cos(5 theta)."""
    r = np.maximum(_radius(u, v), np.float32(0.05))
    u2, v2 = u * u, v * v
    wave = u * (u2 * u2 - np.float32(10) * u2 * v2 + np.float32(5) * v2 * v2) / (r * r * r * r * r)
    outline: Floats = r - (np.float32(0.6) + np.float32(0.3) * wave)
    return outline


def _hourglass(u: Floats, v: Floats) -> Floats:
    return np.maximum(_box(u, v, 0.85, 0.85), (np.abs(v) - np.abs(u)) * np.float32(0.7))


SHAPES: dict[str, Shape] = {
    "disc": _disc,
    "plus": _plus,
    "ring": _ring,
    "two bars": _two_bars,
    "triangle": _triangle,
    "crescent": _crescent,
    "bar": _bar,
    "frame": _frame,
    "star": _star,
    "corner": _corner,
    "two dots": _two_dots,
    "square": _square,
    "hourglass": _hourglass,
    "tee": _tee,
    "half disc": _half_disc,
    "trefoil": _trefoil,
}


def _solid(distance: Floats, u: Floats, v: Floats) -> Floats:
    return distance


def _hollow(distance: Floats, u: Floats, v: Floats) -> Floats:
    return np.abs(distance) - np.float32(0.1)


def _striped(distance: Floats, u: Floats, v: Floats) -> Floats:
    along = (u + v) * np.float32(1.5)
    wave = np.abs(along - np.floor(along) - np.float32(0.5)) - np.float32(0.25)
    outline: Floats = np.maximum(distance, wave * np.float32(0.5))
    return outline


FILLS: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "solid": _solid,
    "hollow": _hollow,
    "striped": _striped,
}

MOTIFS = len(SHAPES) * len(FILLS)
_SHAPES, _FILLS = tuple(SHAPES.values()), tuple(FILLS.values())


def motif_name(motif: int) -> str:
    """`hollow star` for the motif of that number."""
    fill, shape = divmod(motif, len(SHAPES))
    return f"{list(FILLS)[fill]} {list(SHAPES)[shape]}"


def stamp(motifs: NDArray[np.int64], u: Floats, v: Floats, radii: Floats) -> Floats:
    """How much each motif covers each pixel, 0 to 1: (n,) motifs over (n, p, p) coordinates,
    `radii` in pixels.
    """
    cover = np.empty(u.shape, dtype=np.float32)
    for motif in np.unique(motifs):
        chosen = motifs == motif
        fill, shape = divmod(int(motif), len(SHAPES))
        across, down = u[chosen], v[chosen]
        distance = _FILLS[fill](_SHAPES[shape](across, down), across, down)
        edge = np.float32(0.5) - distance * radii[chosen, None, None]
        cover[chosen] = np.minimum(np.maximum(edge, np.float32(0)), _ONE)
    return cover
