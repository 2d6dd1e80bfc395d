"""The vocabulary of content: 48 motifs, shared by all datasets and domains.

All of them have the same area and, within a few percent, the same length of outline. So an image's
mean, contrast and edges do not tell which motif it shows: only the arrangement does. There are
18 shapes; the other motifs are shapes turned by quarters. A motif is a signed distance over
coordinates (u, v) in units of its radius: negative inside, zero on the outline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from medimeta_adapter.synthetic.pixel_maths import F, Floats, Integers, clip

Shape = Callable[[Floats, Floats], Floats]

_CELL = 0.58
"""Side of a cell in units of the radius. A motif has the area of five cells, in most cases as five
cells that touch: these have 12 sides of a cell as outline. The other shapes are fitted to both."""
AREA = 5 * _CELL**2
"""The area of every motif, in units of its squared radius."""


def _radius(u: Floats, v: Floats) -> Floats:
    return np.sqrt(u * u + v * v)


def _cells(*boxes: tuple[float, float, float, float]) -> Shape:
    """Return a union of boxes (left, top, right, bottom), in cells from the middle.

    Boxes overlap, so that no seam shows between them.
    """

    def distance(u: Floats, v: Floats) -> Floats:
        inside = [
            np.maximum(
                np.abs(u - F((left + right) / 2)) - F((right - left) / 2),
                np.abs(v - F((top + bottom) / 2)) - F((bottom - top) / 2),
            )
            for left, top, right, bottom in boxes
        ]
        return np.minimum.reduce(inside)  # type: ignore[no-any-return]

    return distance


def _arch(u: Floats, v: Floats) -> Floats:
    return np.maximum(np.abs(_radius(u, v - F(0.7)) - F(1.428)) - F(0.557), v - F(0.7))  # type: ignore[no-any-return]


def _triangle(u: Floats, v: Floats) -> Floats:
    """An equilateral triangle with a small hole."""
    # sqrt(3) / 2 and 1/2: the directions of the sides.
    sides = np.maximum(np.abs(u) * F(0.8660254) + v * F(0.5), -v) - F(0.992)
    return np.maximum(sides, F(0.15) - _radius(u, v))  # type: ignore[no-any-return]


def _trefoil(u: Floats, v: Floats) -> Floats:
    r = np.maximum(_radius(u, v), F(0.05))
    # u = r cos(theta): cos(3 theta) is a polynomial in u and v, so no cosine has to be rounded.
    return _lobes(r, (u * u * u - F(3) * u * v * v) / (r * r * r), 3, 1.177, 0.643)


def _star(u: Floats, v: Floats) -> Floats:
    r = np.maximum(_radius(u, v), F(0.05))
    u2, v2 = u * u, v * v
    wave = u * (u2 * u2 - F(10) * u2 * v2 + F(5) * v2 * v2) / (r * r * r * r * r)
    return _lobes(r, wave, 5, 1.233, 0.375)


def _lobes(r: Floats, wave: Floats, lobes: int, middle: float, height: float) -> Floats:
    """The curve r = middle + height cos(lobes theta), where `wave` is the cosine."""
    # The curve is not a circle: along it, the difference of radii grows faster than the distance.
    sine = F(1) - np.minimum(wave * wave, F(1))
    slope = np.sqrt(F(1) + F((lobes * height) ** 2) * sine / (r * r))
    return (r - (F(middle) + F(height) * wave)) / slope  # type: ignore[no-any-return]


def _two_pills(u: Floats, v: Floats) -> Floats:
    beyond = np.maximum(np.abs(v) - F(0.26), F(0))
    return _radius(np.abs(u) - F(1.0), beyond) - F(0.742)


# The order decides which images a seed gives: a motif is known by its number. Lengths are in cells.
SHAPES: Mapping[str, Shape] = {
    "ring": lambda u, v: np.abs(_radius(u, v) - F(0.871)) - F(0.4566),
    "plus": _cells((-0.5, -1.5, 0.5, 1.5), (-1.5, -0.5, 1.5, 0.5)),
    "frame": lambda u, v: np.abs(np.maximum(np.abs(u), np.abs(v)) - F(0.75)) - F(0.4167),
    "two pills": _two_pills,
    "triangle": _triangle,
    "arch": _arch,
    "cup": _cells((-1.5, -1.2, -0.5, 0.8), (0.5, -1.2, 1.5, 0.8), (-1.5, -0.2, 1.5, 0.8)),
    "star": _star,
    "corner": _cells((-1.0, -2.0, 0.0, 1.0), (-1.0, 0.0, 2.0, 1.0)),
    "tee": _cells((-1.5, -1.3, 1.5, -0.3), (-0.5, -1.3, 0.5, 1.7)),
    "zed": _cells((-1.5, -1.5, 0.5, -0.5), (-0.5, -1.5, 0.5, 1.5), (-0.5, 0.5, 1.5, 1.5)),
    "ess": _cells((-0.5, -1.5, 1.5, -0.5), (-0.5, -1.5, 0.5, 1.5), (-1.5, 0.5, 0.5, 1.5)),
    "steps": _cells(
        *((-1.5, -1.5, -0.5, 0.5), (-1.5, -0.5, 0.5, 0.5)),
        *((-0.5, -0.5, 0.5, 1.5), (-0.5, 0.5, 1.5, 1.5)),
    ),
    "trefoil": _trefoil,
    "ell": _cells((-0.7, -2.2, 0.3, 1.8), (-0.7, 0.8, 1.3, 1.8)),
    "flag": _cells((-0.5, -1.5, 0.5, 1.5), (-0.5, -1.5, 1.5, -0.5), (-1.5, -0.5, 0.5, 0.5)),
    "jay": _cells((-0.3, -2.2, 0.7, 1.8), (-1.3, 0.8, 0.7, 1.8)),
    "bar": _cells((-0.5, -2.5, 0.5, 2.5)),
}

PLAIN = 0
"""The motif that stands for nothing in every dataset: the ring."""

_LARGE = (
    *(("ring", 0), ("two pills", 0), ("triangle", 0), ("cup", 0), ("corner", 0), ("tee", 0)),
    *(("zed", 0), ("ess", 0), ("steps", 0), ("trefoil", 0), ("ell", 0), ("flag", 0)),
    *(("tee", 2), ("cup", 2), ("triangle", 2), ("two pills", 1)),
)
"""Shapes, and the quarters they are turned by. These look alike to coarse edges, too."""
_SMALL = {
    **dict.fromkeys(("plus", "frame", "star"), (0,)),
    **dict.fromkeys(("tee", "cup"), (1, 3)),
    **dict.fromkeys(("corner", "steps", "flag", "ell"), (1, 2, 3)),
    **dict.fromkeys(("arch", "jay"), (0, 1, 2, 3)),
    **dict.fromkeys(("zed", "ess"), (1,)),
    "trefoil": (2,),
    "bar": (0, 1),
}
_ALL = (*_LARGE, *((shape, turn) for shape, turns in _SMALL.items() for turn in turns))

LARGE = len(_LARGE)
"""The motifs below this number may be lesions."""
MOTIFS = len(_ALL)


def motif_name(motif: int) -> str:
    """Return a name such as `tee turned by 90 degrees` for the motif with this number."""
    shape, turn = _ALL[motif]
    return f"{shape} turned by {90 * turn} degrees" if turn else shape


def stamp(motifs: Integers, u: Floats, v: Floats, radii: Floats) -> Floats:
    """Return how much each motif covers each pixel, 0 to 1.

    There are (n,) motifs over (n, p, p) coordinates, and `radii` in pixels.
    """
    cover = np.empty(u.shape, dtype=np.float32)
    for motif in np.unique(motifs):
        rows = motifs == motif
        shape, turn = _ALL[int(motif)]
        across, down = _rotate_by_quarters(u[rows], v[rows], turn)
        distance = SHAPES[shape](across * F(1 / _CELL), down * F(1 / _CELL)) * F(_CELL)
        # A pixel whose centre is half a pixel inside is covered, half a pixel outside is free.
        cover[rows] = clip(F(0.5) - distance * radii[rows, None, None])
    return cover


def _rotate_by_quarters(u: Floats, v: Floats, turn: int) -> tuple[Floats, Floats]:
    """Return the coordinates turned by so many quarters."""
    return [(u, v), (v, -u), (-u, -v), (-v, u)][turn]
