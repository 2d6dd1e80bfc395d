"""Scenes to pixels: content on a domain's background, seen through its field of view, noise and
colours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.synthetic.domain_looks import (
    Look,
    background,
    coordinates,
    field_of_view,
    grid_words,
    triangle,
    units,
)
from medimeta_adapter.synthetic.motifs import SHAPES, stamp
from medimeta_adapter.synthetic.scene import ABSENT, Scene
from torchcross._kit.randomness import Stream

__all__ = ["Canvas"]

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Words = NDArray[np.uint64]

_F = np.float32
_TURN = 20
"""Content is turned by up to so many degrees either way."""
_DEGREES = np.arange(360)
_COS, _SIN = (
    # Rounded to 14 bits, so that the last digit of a mathematical library is no matter.
    np.array([round(f(math.radians(int(angle))) * 2**14) for angle in _DEGREES], dtype=np.float32)
    * _F(2.0**-14)
    for f in (math.cos, math.sin)
)
_WEAVE_DIRECTIONS, _WEAVE_CYCLES = (0, 90, 45, 135), (5.0, 9.0, 3.0)
_WEAVE_DEPTH, _VEIL_DEPTH = 0.2, 0.35
_GLOBALS, _PER_MARK = 16, 4
_MOST_DISTRACTORS = 2
_LESION_RADIUS, _MARK_RADIUS = (0.42, 0.16), (0.24, 0.06)
_AMONG_MARKS = _F(0.85)
"""A lesion leaves room for marks around it: so much of its size and of its freedom is left."""
_LONE_MARK_RADIUS = (0.28, 0.06)
_EXTENT = 1.35
"""No motif reaches further from its centre, in radii."""
_BESIDE_LESION = tuple((y, x) for y in range(4) for x in range(4) if y in (0, 3) or x in (0, 3))
_ANYWHERE = tuple((y, x) for y in range(3) for x in range(3))
_REACH = {"full": (1.0, 1.0), "disc": (0.78, 0.78), "wide disc": (0.9, 0.9), "ellipse": (0.76, 0.8)}
_REACH |= {"fan": (0.85, 0.62), "band": (0.72, 1.0)}


@dataclass(frozen=True)
class Canvas:
    """Draws the images of one dataset: image i is a function of (stream, i, its scene) alone."""

    look: Look
    size: int
    channels: int
    stream: Stream
    distractors: Integers
    """Motifs that carry no label and may stand anywhere."""

    def draw(self, scene: Scene, start: int) -> NDArray[np.uint8]:
        """Images `start`, `start + 1`, ...: (n, size, size), or (n, size, size, 3)."""
        slots = len(scene.marks) + _MOST_DISTRACTORS
        lengths = (
            _GLOBALS,
            grid_words(self.look),
            -(-self.size * self.size // 4),
            16,
            slots * _PER_MARK,
        )
        numbers = range(start, start + scene.count)
        words = np.stack([self.stream.sequence(number, sum(lengths)) for number in numbers])
        whole, grid, noise, cells, placing = np.split(words, np.cumsum(lengths)[:-1], axis=1)
        draws = units(whole)
        content = self._lesion(scene, draws) + self._marks(scene, draws, cells, units(placing))
        polarity = np.where(draws[:, 0] < _F(self.look.bright), _F(1), _F(-1))
        contrast = polarity * _F(self.look.contrast) * (_F(0.7) + _F(0.6) * draws[:, 5])
        level = background(self.look, self.size, grid)
        level += (
            content * contrast[:, None, None] + self._weave(scene, draws) + self._veil(scene, draws)
        )
        return self._seen(level, draws, noise)

    # -- content -----------------------------------------------------------------------------------

    def _lesion(self, scene: Scene, draws: Floats) -> Floats:
        cover = np.zeros((scene.count, self.size, self.size), dtype=np.float32)
        at = np.flatnonzero(scene.lesion != ABSENT)
        if not len(at):
            return cover
        draws, reach = draws[at], _REACH[self.look.field]
        low, spread = _LESION_RADIUS
        free = _F(low) + _F(spread) * draws[:, 4]
        graded = _F(0.2) + _F(0.36) * scene.lesion_size[at] + _F(0.08) * draws[:, 4]
        room = _AMONG_MARKS if scene.marks else _F(1)
        radii = np.where(scene.lesion_size[at] < 0, free, graded) * room
        y, x = coordinates(self.size)
        away_y = y[None] - ((draws[:, 1] - _F(0.5)) * _F(0.6 * reach[0]) * room)[:, None, None]
        away_x = x[None] - ((draws[:, 2] - _F(0.5)) * _F(0.6 * reach[1]) * room)[:, None, None]
        u, v = _turned(away_y, away_x, draws[:, 3], radii)
        u = u * (_F(1) + _F(2) * scene.lesion_stretch[at])[:, None, None]
        motifs = scene.lesion[at] + scene.lesion_fill[at] * len(SHAPES)
        strength = scene.lesion_strength[at][:, None, None]
        cover[at] = stamp(motifs, u, v, radii * _F(self.size / 2)) * strength
        return cover

    def _marks(self, scene: Scene, draws: Floats, order: Words, placing: Floats) -> Floats:
        places = self._places(scene)
        margin = self.size // 4 + 4
        wide = self.size + 2 * margin
        canvas = np.zeros((scene.count, wide, wide), dtype=np.float32)
        seats = np.argsort(order[:, : len(places)], axis=1, kind="stable")
        taken = np.zeros(scene.count, dtype=np.int64)
        columns = [
            *zip(scene.marks, scene.mark_strengths, strict=True),
            *self._distractors(scene, draws),
        ]
        for slot, (motifs, strength) in enumerate(columns):
            at = np.flatnonzero(motifs != ABSENT)
            if len(at):
                centres = places[seats[at, taken[at] % len(places)]]
                chances = placing[at, slot * _PER_MARK : (slot + 1) * _PER_MARK]
                self._mark(canvas, at, motifs[at], centres, chances, strength, scene.has_lesion)
                taken[at] += 1
        inner = slice(margin, margin + self.size)
        return np.minimum(canvas[:, inner, inner], _F(1.2))

    def _mark(
        self,
        canvas: Floats,
        at: Integers,
        motifs: Integers,
        centres: Floats,
        chances: Floats,
        strength: float,
        beside_lesion: bool,
    ) -> None:
        """Adds one mark to each of the images `at`, in a window around its centre."""
        low, spread = _MARK_RADIUS if beside_lesion else _LONE_MARK_RADIUS
        half = _F(self.size / 2)
        radii = (_F(low) + _F(spread) * chances[:, 2]) * half
        margin = (canvas.shape[1] - self.size) // 2
        middle = (centres + (chances[:, :2] - _F(0.5)) * _F(0.2)) * half + half
        reach = math.ceil(_EXTENT * (low + spread) * self.size / 2) + 1
        corner = np.floor(middle).astype(np.int64) - reach
        window = np.arange(2 * reach + 1)
        rows, columns = corner[:, :1] + window, corner[:, 1:] + window
        away_y = (rows.astype(np.float32) + _F(0.5) - middle[:, :1])[:, :, None]
        away_x = (columns.astype(np.float32) + _F(0.5) - middle[:, 1:])[:, None, :]
        u, v = _turned(away_y, away_x, chances[:, 3], radii)
        cover = stamp(motifs, u, v, radii) * _F(strength)
        canvas[at[:, None, None], rows[:, :, None] + margin, columns[:, None, :] + margin] += cover

    def _places(self, scene: Scene) -> Floats:
        """Where marks may stand: around a lesion, or all over; a fan has less room than a full
        field.
        """
        cells, side = (_BESIDE_LESION, 4) if scene.has_lesion else (_ANYWHERE, 3)
        centres = (np.array(cells, dtype=np.float32) * _F(2) + _F(1)) / _F(side) - _F(1)
        return centres * np.array(_REACH[self.look.field], dtype=np.float32)

    def _distractors(self, scene: Scene, draws: Floats) -> list[tuple[Integers, float]]:
        if not len(self.distractors):
            return []
        columns: list[tuple[Integers, float]] = []
        for number in range(_MOST_DISTRACTORS):
            draw = draws[:, 12 + number]
            part = draw * _F(3) - np.floor(draw * _F(3))
            chosen = np.floor(part * _F(len(self.distractors))).astype(np.int64)
            columns.append((np.where(draw * _F(3) < _F(2), ABSENT, self.distractors[chosen]), 0.8))
        return columns

    def _weave(self, scene: Scene, draws: Floats) -> Floats:
        """Fine parallel lines all over the image."""
        here = scene.weave != ABSENT
        kinds = np.where(here, scene.weave, 0)
        tilt = np.floor((draws[:, 8] - _F(0.5)) * _F(24)).astype(np.int64)
        angles = (np.array(_WEAVE_DIRECTIONS)[kinds % 4] + tilt) % 360
        cycles = np.array(_WEAVE_CYCLES, dtype=np.float32)[kinds // 4] * (
            _F(0.45) + _F(0.1) * draws[:, 9]
        )
        y, x = coordinates(self.size)
        across = _COS[angles][:, None, None] * x + _SIN[angles][:, None, None] * y
        wave = triangle(across * cycles[:, None, None] + draws[:, 6, None, None]) - _F(0.5)
        depth = (
            np.where(here, scene.weave_strength, _F(0))
            * _F(_WEAVE_DEPTH)
            * (_F(0.7) + _F(0.6) * draws[:, 7])
        )
        return wave * depth[:, None, None]

    def _veil(self, scene: Scene, draws: Floats) -> Floats:
        """A wide, soft spot, lighter than what it lies on, somewhere near the middle."""
        y, x = coordinates(self.size)
        away_y = y[None] - (draws[:, 7] - _F(0.5))[:, None, None]
        away_x = x[None] - (draws[:, 6] - _F(0.5))[:, None, None]
        soft = np.maximum(_F(1) - (away_y * away_y + away_x * away_x) * _F(1 / 0.8), _F(0))
        spot: Floats = soft * (scene.veil * _F(_VEIL_DEPTH))[:, None, None]
        return spot

    # -- appearance --------------------------------------------------------------------------------

    def _seen(self, level: Floats, draws: Floats, noise: Words) -> NDArray[np.uint8]:
        for _ in range(self.look.blur):
            level = _blurred(level)
        gain = (_F(0.8) + _F(0.4) * draws[:, 9])[:, None, None]
        lift = ((draws[:, 10] - _F(0.5)) * _F(0.24))[:, None, None]
        level = (level - _F(0.5)) * gain + _F(0.5) + lift
        pairs = (
            noise.astype("<u8").view(np.uint8)[:, : 2 * self.size * self.size].astype(np.float32)
        )
        grain = ((pairs[:, 0::2] + pairs[:, 1::2]) * _F(1 / 255) - _F(1)).reshape(level.shape)
        level = level + grain * (_F(self.look.grain * 2) + _F(self.look.speckle) * level)
        level = np.minimum(np.maximum(level, _F(0)), _F(1)) * field_of_view(self.look, self.size)
        if self.channels == 1:
            return _bytes(level)
        stops = np.array(
            [self.look.dark, self.look.middle, self.look.light], dtype=np.float32
        ) * _F(1 / 255)
        balance = _F(0.92) + _F(0.16) * draws[:, [14, 15, 11]]
        return _bytes(_coloured(level, stops) * balance[:, None, None, :])


def _turned(y: Floats, x: Floats, turns: Floats, radii: Floats) -> tuple[Floats, Floats]:
    """Coordinates in units of the radius, turned by -20 to 20 degrees for `turns` from 0 to 1."""
    angles = np.floor((turns - _F(0.5)) * _F(2 * _TURN + 1)).astype(np.int64) % 360
    inverse = _F(1) / radii
    cos, sin = (_COS[angles] * inverse)[:, None, None], (_SIN[angles] * inverse)[:, None, None]
    return cos * x + sin * y, cos * y - sin * x


def _blurred(level: Floats) -> Floats:
    """(1 2 1)/4 both ways, at steps that halve from 1/56 of the side to one pixel."""
    step = max(1, level.shape[1] // 56)
    while step:
        for axis in (1, 2):
            padded = np.pad(
                level,
                [(0, 0), *((step, step) if axis == other else (0, 0) for other in (1, 2))],
                "edge",
            )
            before, after = (
                np.take(padded, range(shift, shift + level.shape[axis]), axis=axis)
                for shift in (0, 2 * step)
            )
            level = level * _F(0.5) + (before + after) * _F(0.25)
        step //= 2
    return level


def _coloured(level: Floats, stops: Floats) -> Floats:
    """Dark to middle to light, channel by channel."""
    lower = np.minimum(level * _F(2), _F(1))[..., None]
    upper = np.maximum(level * _F(2) - _F(1), _F(0))[..., None]
    coloured: Floats = stops[0] + (stops[1] - stops[0]) * lower + (stops[2] - stops[1]) * upper
    return coloured


def _bytes(level: Floats) -> NDArray[np.uint8]:
    stored: NDArray[np.uint8] = np.floor(
        np.minimum(np.maximum(level, _F(0)), _F(1)) * _F(255) + _F(0.5)
    ).astype(np.uint8)
    return stored
