"""The vocabulary of content: 48 motifs, shared by all datasets and domains.

There are 16 shapes, each solid, hollow or striped. A motif is a signed distance over coordinates
(u, v) in units of its radius: negative inside, zero on the outline.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from medimeta_adapter.synthetic.pixel_maths import F, Floats, Integers, clip

Shape = Callable[[Floats, Floats], Floats]


def _radius(u: Floats, v: Floats) -> Floats:
    return np.sqrt(u * u + v * v)


def _box(u: Floats, v: Floats, width: float, height: float) -> Floats:
    """A rectangle with sides of twice `width` and twice `height`."""
    return np.maximum(np.abs(u) - F(width), np.abs(v) - F(height))


def _triangle(u: Floats, v: Floats) -> Floats:
    # sqrt(3) / 2 and 1/2: the directions of the sides.
    sides = np.abs(u) * F(0.8660254) + v * F(0.5)
    return np.maximum(sides, -v) - F(0.5)


def _trefoil(u: Floats, v: Floats) -> Floats:
    """The curve r = 0.6 + 0.3 cos(3 theta)."""
    r = np.maximum(_radius(u, v), F(0.05))
    # u = r cos(theta): cos(3 theta) is a polynomial in u and v, so no cosine has to be rounded.
    wave = (u * u * u - F(3) * u * v * v) / (r * r * r)
    return r - (F(0.6) + F(0.3) * wave)  # type: ignore[no-any-return]


def _star(u: Floats, v: Floats) -> Floats:
    """The curve r = 0.6 + 0.3 cos(5 theta)."""
    r = np.maximum(_radius(u, v), F(0.05))
    u2, v2 = u * u, v * v
    wave = u * (u2 * u2 - F(10) * u2 * v2 + F(5) * v2 * v2) / (r * r * r * r * r)
    return r - (F(0.6) + F(0.3) * wave)  # type: ignore[no-any-return]


# The order decides which images a seed gives: a motif is known by its number. The union of two
# shapes is the minimum of their distances, the intersection the maximum.
SHAPES: dict[str, Shape] = {
    "disc": lambda u, v: _radius(u, v) - F(0.85),
    "plus": lambda u, v: np.minimum(_box(u, v, 0.26, 0.9), _box(u, v, 0.9, 0.26)),
    "ring": lambda u, v: np.abs(_radius(u, v) - F(0.68)) - F(0.2),
    "two bars": lambda u, v: _box(np.abs(u) - F(0.5), v, 0.22, 0.85),
    "triangle": _triangle,
    "crescent": lambda u, v: np.maximum(_radius(u, v) - F(0.9), F(0.7) - _radius(u - F(0.5), v)),
    "bar": lambda u, v: _box(u, v, 0.3, 0.95),
    "frame": lambda u, v: np.abs(np.maximum(np.abs(u), np.abs(v)) - F(0.62)) - F(0.17),
    "star": _star,
    "corner": lambda u, v: np.minimum(
        _box(u + F(0.5), v, 0.25, 0.8), _box(u, v - F(0.55), 0.75, 0.25)
    ),
    "two dots": lambda u, v: _radius(np.abs(u) - F(0.52), v) - F(0.38),
    "square": lambda u, v: _box(u, v, 0.75, 0.75),
    "hourglass": lambda u, v: np.maximum(_box(u, v, 0.85, 0.85), (np.abs(v) - np.abs(u)) * F(0.7)),
    "tee": lambda u, v: np.minimum(_box(u, v, 0.22, 0.8), _box(u, v + F(0.58), 0.8, 0.22)),
    "half disc": lambda u, v: np.maximum(_radius(u, v) - F(0.9), v),
    "trefoil": _trefoil,
}


def _stripes(distance: Floats, u: Floats, v: Floats) -> Floats:
    along = (u + v) * F(1.5)
    wave = np.abs(along - np.floor(along) - F(0.5)) - F(0.25)
    return np.maximum(distance, wave * F(0.5))  # type: ignore[no-any-return]


FILLS: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "solid": lambda distance, u, v: distance,
    "hollow": lambda distance, u, v: np.abs(distance) - F(0.1),
    "striped": _stripes,
}

MOTIFS = len(SHAPES) * len(FILLS)


def _names(motif: int) -> tuple[str, str]:
    """Return the fill and the shape of the motif with this number."""
    fill, shape = divmod(motif, len(SHAPES))
    return list(FILLS)[fill], list(SHAPES)[shape]


def motif_name(motif: int) -> str:
    """Return a name such as `hollow star` for the motif with this number."""
    return " ".join(_names(motif))


def stamp(motifs: Integers, u: Floats, v: Floats, radii: Floats) -> Floats:
    """Return how much each motif covers each pixel, 0 to 1.

    There are (n,) motifs over (n, p, p) coordinates, and `radii` in pixels.
    """
    cover = np.empty(u.shape, dtype=np.float32)
    for motif in np.unique(motifs):
        rows = motifs == motif
        fill, shape = _names(int(motif))
        across, down = u[rows], v[rows]
        distance = FILLS[fill](SHAPES[shape](across, down), across, down)
        # A pixel whose centre is half a pixel inside is covered, half a pixel outside is free.
        cover[rows] = clip(F(0.5) - distance * radii[rows, None, None])
    return cover
