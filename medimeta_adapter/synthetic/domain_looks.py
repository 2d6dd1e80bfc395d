"""What a domain looks like: its colours, texture, field of view, blur and noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from medimeta_adapter.synthetic.pixel_maths import (
    F,
    Floats,
    Integers,
    Words,
    byte_floats,
    clip,
    pixel_centres,
    triangle_wave,
    unit_floats,
)

Colour = tuple[int, int, int]

_WARP = 4
"""Regular parts are bent by a grid of this many cells down and across."""
_BYTES_PER_WORD = 8


@dataclass(frozen=True)
class Look:
    """A domain's appearance.

    Levels are from 0 (dark) to 1 (light). Lengths are in units of the image's side.
    """

    dark: Colour
    middle: Colour
    light: Colour
    base: float
    """Level of the background."""
    cloud: tuple[int, int]
    """Cells of the soft background, down and across."""
    cloud_depth: float
    waves: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Cycles of a regular background down, across and outwards."""
    wave_depth: float = 0.0
    cells: float = 0.0
    """Cycles of a lattice of round cells."""
    cell_depth: float = 0.0
    warp: float = 0.0
    """How far the regular parts are bent."""
    field: str = "full"
    vignette: float = 0.0
    contrast: float = 0.66
    """How much lighter or darker than the background the content is."""
    bright: float = 0.15
    """How often the content is lighter than its surroundings, and not darker."""
    blur: int = 0
    grain: float = 0.04
    speckle: float = 0.0


LOOKS: Mapping[str, Look] = MappingProxyType(
    {
        "Microscopy": Look(
            *((92, 44, 120), (214, 170, 196), (250, 240, 236)),
            base=0.62,
            cloud=(3, 3),
            cloud_depth=0.16,
            cells=4.0,
            cell_depth=0.16,
            warp=0.5,
            grain=0.03,
        ),
        "Histopathology": Look(
            *((66, 22, 96), (206, 98, 158), (246, 218, 232)),
            base=0.55,
            cloud=(5, 5),
            cloud_depth=0.3,
            cells=6.0,
            cell_depth=0.26,
            warp=0.6,
            grain=0.05,
        ),
        "Chest X-ray": Look(
            *((0, 0, 0), (120, 120, 120), (255, 255, 255)),
            bright=0.85,
            base=0.46,
            cloud=(2, 2),
            cloud_depth=0.3,
            waves=(4.0, 0.0, 0.9),
            wave_depth=0.14,
            warp=0.2,
            vignette=0.25,
            contrast=0.72,
            blur=1,
            grain=0.03,
        ),
        "Breast ultrasound": Look(
            *((0, 0, 0), (96, 96, 96), (235, 235, 235)),
            base=0.42,
            cloud=(6, 2),
            cloud_depth=0.24,
            waves=(2.0, 0.0, 0.0),
            wave_depth=0.12,
            warp=0.4,
            field="fan",
            contrast=0.72,
            blur=1,
            grain=0.02,
            speckle=0.3,
        ),
        "Dermatoscopy": Look(
            *((58, 26, 18), (190, 122, 96), (246, 214, 196)),
            base=0.6,
            cloud=(3, 3),
            cloud_depth=0.2,
            waves=(0.7, 1.6, 0.0),
            wave_depth=0.08,
            warp=0.9,
            field="wide disc",
            vignette=0.35,
            grain=0.025,
        ),
        "Clinical skin photography": Look(
            *((104, 58, 44), (222, 160, 132), (255, 226, 206)),
            base=0.52,
            cloud=(2, 2),
            cloud_depth=0.34,
            vignette=0.1,
            contrast=0.72,
            blur=1,
            grain=0.05,
        ),
        "Retinal fundus": Look(
            *((40, 6, 0), (190, 72, 22), (255, 206, 120)),
            bright=0.85,
            base=0.48,
            cloud=(3, 3),
            cloud_depth=0.18,
            waves=(0.0, 1.2, 2.2),
            wave_depth=0.12,
            warp=0.8,
            field="disc",
            vignette=0.3,
            grain=0.03,
        ),
        "Mammography": Look(
            *((6, 6, 6), (110, 110, 110), (250, 250, 250)),
            bright=0.85,
            base=0.42,
            cloud=(5, 5),
            cloud_depth=0.24,
            waves=(1.0, 1.0, 0.0),
            wave_depth=0.08,
            warp=0.8,
            grain=0.06,
        ),
        "OCT": Look(
            *((8, 8, 8), (100, 100, 100), (240, 240, 240)),
            bright=0.85,
            base=0.4,
            cloud=(6, 2),
            cloud_depth=0.22,
            waves=(3.0, 0.0, 0.0),
            wave_depth=0.26,
            warp=0.35,
            field="band",
            grain=0.06,
            speckle=0.15,
        ),
        "Abdominal CT": Look(
            *((0, 0, 0), (128, 128, 128), (250, 250, 250)),
            bright=0.85,
            base=0.5,
            cloud=(4, 4),
            cloud_depth=0.1,
            cells=2.0,
            cell_depth=0.16,
            warp=0.4,
            field="ellipse",
            contrast=0.62,
            blur=0,
            grain=0.05,
        ),
    }
)


def background_words(look: Look) -> int:
    """Return how many random words `background` needs per image."""
    down, across = look.cloud
    corners = (down + 1) * (across + 1) + 2 * (_WARP + 1) ** 2
    # A byte per corner, rounded up to whole words, and two words for phases.
    return -(-corners // _BYTES_PER_WORD) + 2


def background(look: Look, size: int, words: Words) -> Floats:
    """Return the (n, size, size) levels behind the content, from (n, `background_words`) words.

    A cloud of soft noise, and, where the domain has them, regular waves and cells on bent axes.
    """
    down, across = look.cloud
    phases = unit_floats(words[:, :2])
    corners = byte_floats(words[:, 2:]) * F(1 / 256)
    cloud_end = (down + 1) * (across + 1)
    cloud = _interpolate(corners[:, :cloud_end].reshape(-1, down + 1, across + 1), size)
    level = F(look.base) + F(look.cloud_depth) * (cloud - F(0.5)) * F(2)
    if look.wave_depth or look.cell_depth:
        end = cloud_end + 2 * (_WARP + 1) ** 2
        bends = corners[:, cloud_end:end].reshape(-1, _WARP + 1, _WARP + 1)
        bend = (_interpolate(bends, size) - F(0.5)) * F(look.warp)
        y, x = pixel_centres(size)
        # Two grids per image: one bends the axis down, the next the axis across.
        y, x = y + bend[0::2], x + bend[1::2]
        level += _waves(look, y, x, phases) + _cells(look, y, x, phases)
    return level


def _waves(look: Look, y: Floats, x: Floats, phases: Floats) -> Floats:
    # Coordinates are two units wide, so one unit has half of the cycles.
    down, across, outwards = (F(cycles / 2) for cycles in look.waves)
    places = down * y + across * x + outwards * (y * y + x * x) + phases[:, 0, None, None]
    return F(look.wave_depth) * (triangle_wave(places) - F(0.5))


def _cells(look: Look, y: Floats, x: Floats, phases: Floats) -> Floats:
    cycles = F(look.cells / 2)
    down = triangle_wave(cycles * y + phases[:, 0, None, None])
    # The product of two waves has round peaks. Only what is high enough becomes a dark cell.
    product = down * triangle_wave(cycles * x + phases[:, 1, None, None])
    return F(-look.cell_depth) * clip(product * F(3) - F(1))


def _interpolate(grids: Floats, size: int) -> Floats:
    """(n, rows + 1, columns + 1) corners -> (n, size, size), smoothly in between."""
    top, down = _between(grids.shape[1] - 1, size)
    left, across = _between(grids.shape[2] - 1, size)
    tall = grids[:, top] + (grids[:, top + 1] - grids[:, top]) * down[None, :, None]
    step = tall[:, :, left + 1] - tall[:, :, left]
    return tall[:, :, left] + step * across[None, None, :]


def _between(cells: int, size: int) -> tuple[Integers, Floats]:
    """Return for each pixel the corner before it, and how far it is to the next (smoothstep)."""
    # The centre of pixel i is (2 i + 1) / (2 size) of the way, in integers: no rounding.
    twice = np.arange(size, dtype=np.int64) * 2 + 1
    before = twice * cells // (2 * size)
    part = (twice * cells - before * 2 * size).astype(np.float32) / F(2 * size)
    # 3 t^2 - 2 t^3 is flat at both ends, so that cells join without an edge.
    return before, part * part * (F(3) - F(2) * part)


def field_of_view(look: Look, size: int) -> Floats:
    """Return how bright each pixel of a white image is, (size, size): 0 outside of the view."""
    y, x = pixel_centres(size)
    inside = clip(_FIELDS[look.field](y, x) * F(size / 2) + F(0.5))
    # The vignette grows darker with the square of the distance from the centre.
    vignette = F(1) - F(look.vignette) * (y * y + x * x)
    return inside * np.maximum(vignette, F(0))  # type: ignore[no-any-return]


def _fan(y: Floats, x: Floats) -> Floats:
    sides = F(0.62) + F(0.42) * (y + F(1)) - np.abs(x)
    return np.minimum(sides, F(0.98) - y - F(0.12) * x * x)  # type: ignore[no-any-return]


# Signed distances to the edge of the view, positive inside.
_FIELDS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "full": lambda y, x: F(1) + F(0) * (y + x),
    "disc": lambda y, x: F(0.97) - np.sqrt(y * y + x * x),
    "wide disc": lambda y, x: F(1.2) - np.sqrt(y * y + x * x),
    "ellipse": lambda y, x: F(0.98) - np.sqrt(y * y * F(1.2) + x * x),
    "fan": _fan,
    "band": lambda y, x: F(0.86) - np.abs(y + F(0.15) * x * x),
}
