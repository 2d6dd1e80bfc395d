"""What a domain looks like: its colours, its texture, its field of view, its blur and its noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LOOKS",
    "Look",
    "background",
    "coordinates",
    "field_of_view",
    "grid_words",
    "triangle",
    "units",
]

Floats = NDArray[np.float32]
Words = NDArray[np.uint64]
Colour = tuple[int, int, int]

_WARP = 4
_LANES = 8
_BYTE = np.float32(1 / 256)
_ONE, _HALF = np.float32(1), np.float32(0.5)


@dataclass(frozen=True)
class Look:
    """A domain's appearance. Levels run from 0 (dark) to 1 (light); lengths are in units of the
    image's side.
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
    contrast: float = 0.5
    """How far the content stands out."""
    bright: float = 0.15
    """How often the content is lighter than what is around it, rather than darker."""
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
            contrast=0.55,
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
            contrast=0.55,
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
            contrast=0.55,
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
            contrast=0.45,
            blur=0,
            grain=0.05,
        ),
    }
)


def units(words: Words) -> Floats:
    """Words as numbers in [0, 1) with 24 bits, exactly."""
    return (words >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def grid_words(look: Look) -> int:
    """How many words `background` takes per image."""
    down, across = look.cloud
    return -(-((down + 1) * (across + 1) + 2 * (_WARP + 1) ** 2) // _LANES) + 2


def background(look: Look, size: int, words: Words) -> Floats:
    """The (n, size, size) levels behind the content, from (n, `grid_words`) words."""
    down, across = look.cloud
    phases = units(words[:, :2])
    lanes = words[:, 2:].astype("<u8").view(np.uint8).astype(np.float32) * _BYTE
    cloud_end = (down + 1) * (across + 1)
    cloud = _bilinear(lanes[:, :cloud_end].reshape(-1, down + 1, across + 1), size)
    level = np.float32(look.base) + np.float32(look.cloud_depth) * (cloud - _HALF) * np.float32(2)
    if look.wave_depth or look.cell_depth:
        end = cloud_end + 2 * (_WARP + 1) ** 2
        bends = lanes[:, cloud_end:end].reshape(-1, _WARP + 1, _WARP + 1)
        bend = (_bilinear(bends, size) - _HALF) * np.float32(look.warp)
        y, x = coordinates(size)
        y, x = y + bend[0::2], x + bend[1::2]
        level += _waves(look, y, x, phases) + _cells(look, y, x, phases)
    return level


def _waves(look: Look, y: Floats, x: Floats, phases: Floats) -> Floats:
    down, across, outwards = (np.float32(cycles / 2) for cycles in look.waves)
    at = down * y + across * x + outwards * (y * y + x * x) + phases[:, 0, None, None]
    return np.float32(look.wave_depth) * (triangle(at) - _HALF)


def _cells(look: Look, y: Floats, x: Floats, phases: Floats) -> Floats:
    cycles = np.float32(look.cells / 2)
    product = triangle(cycles * y + phases[:, 0, None, None]) * triangle(
        cycles * x + phases[:, 1, None, None]
    )
    found: Floats = np.float32(-look.cell_depth) * np.minimum(
        np.maximum(product * np.float32(3) - _ONE, np.float32(0)), _ONE
    )
    return found


def triangle(at: Floats) -> Floats:
    """A wave of period 1 between 0 and 1, made of straight lines."""
    wave: Floats = np.abs(at - np.floor(at) - _HALF) * np.float32(2)
    return wave


def coordinates(size: int) -> tuple[Floats, Floats]:
    """Centres of pixels from -1 to 1: (size, 1) down and (1, size) across."""
    line = (np.arange(size, dtype=np.float32) * np.float32(2) + _ONE) / np.float32(size) - _ONE
    return line[:, None], line[None, :]


def _bilinear(grids: Floats, size: int) -> Floats:
    """(n, rows + 1, columns + 1) corners -> (n, size, size), smoothly in between."""
    top, down = _between(grids.shape[1] - 1, size)
    left, across = _between(grids.shape[2] - 1, size)
    tall = grids[:, top] + (grids[:, top + 1] - grids[:, top]) * down[None, :, None]
    wide: Floats = (
        tall[:, :, left] + (tall[:, :, left + 1] - tall[:, :, left]) * across[None, None, :]
    )
    return wide


def _between(cells: int, size: int) -> tuple[NDArray[np.int64], Floats]:
    """For each pixel: the corner before it, and how far it is on its way to the next
    (smoothstep).
    """
    twice = np.arange(size, dtype=np.int64) * 2 + 1
    before = twice * cells // (2 * size)
    part = (twice * cells - before * 2 * size).astype(np.float32) / np.float32(2 * size)
    return before, part * part * (np.float32(3) - np.float32(2) * part)


def field_of_view(look: Look, size: int) -> Floats:
    """How much of each pixel lies inside the field of view, (size, size)."""
    y, x = coordinates(size)
    edge = np.float32(size / 2)
    inside = _FIELDS[look.field](y, x) * edge + _HALF
    shown: Floats = np.minimum(np.maximum(inside, np.float32(0)), _ONE)
    darker = _ONE - np.float32(look.vignette) * (y * y + x * x)
    found: Floats = shown * np.maximum(darker, np.float32(0))
    return found


def _full(y: Floats, x: Floats) -> Floats:
    return _ONE + np.float32(0) * (y + x)


def _disc(y: Floats, x: Floats) -> Floats:
    return np.float32(0.97) - np.sqrt(y * y + x * x)


def _wide_disc(y: Floats, x: Floats) -> Floats:
    return np.float32(1.2) - np.sqrt(y * y + x * x)


def _ellipse(y: Floats, x: Floats) -> Floats:
    return np.float32(0.98) - np.sqrt(y * y * np.float32(1.2) + x * x)


def _fan(y: Floats, x: Floats) -> Floats:
    sides = np.float32(0.62) + np.float32(0.42) * (y + _ONE) - np.abs(x)
    found: Floats = np.minimum(sides, np.float32(0.98) - y - np.float32(0.12) * x * x)
    return found


def _band(y: Floats, x: Floats) -> Floats:
    return np.float32(0.86) - np.abs(y + np.float32(0.15) * x * x)


_FIELDS = {
    "full": _full,
    "disc": _disc,
    "wide disc": _wide_disc,
    "ellipse": _ellipse,
    "fan": _fan,
    "band": _band,
}
