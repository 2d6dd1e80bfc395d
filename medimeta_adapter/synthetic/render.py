"""Draws scenes: content on a domain's background, with its field of view, noise and colours."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.synthetic.domain_looks import (
    Look,
    background,
    background_words,
    field_of_view,
)
from medimeta_adapter.synthetic.motifs import AREA, stamp
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
from medimeta_adapter.synthetic.scene import ABSENT, Scene
from torchcross._kit.randomness import Stream

_MOST_DEGREES = 12
"""Content is rotated by at most this many degrees either way."""
_COS, _SIN = (
    # Rounded to 14 bits: mathematical libraries may differ in the last digit.
    np.array([round(f(math.radians(angle)) * 2**14) for angle in range(360)], dtype=np.float32)
    * F(2.0**-14)
    for f in (math.cos, math.sin)
)
_WEAVE_DIRECTIONS, _WEAVE_CYCLES = (0, 45, 90, 135), 5.0
_QUARTERS = (
    *((0, 1, 2, 3), (2, 3, 0, 1), (1, 0, 3, 2), (3, 2, 1, 0), (0, 2, 3, 1)),
    *((2, 0, 1, 3), (1, 3, 2, 0), (3, 1, 0, 2), (0, 3, 1, 2)),
)
"""Directions of lines in the quarters of the image, for each kind of weave: all have all four."""
_WEAVE_DEPTH, _VEIL_DEPTH, _SHADE_DEPTH = 0.26, 0.16, 0.5
# Every image has 16 global draws. Their columns: 0 polarity; 1 to 4 place (down, across), rotation
# and size of the lesion; 5 contrast; 7 tilt of the veil; 6 to 9 phase, depth,
# tilt and cycles of the weave; 9 gain; 10 brightness; 12 and 13 distractors; 14, 15 and 11 balance
# of red, green and blue. Columns 6, 7 and 9 serve twice.
_GLOBALS, _PLACES, _PER_MARK = 16, 16, 4
_MOST_DISTRACTORS, _DISTRACTOR_STRENGTH = 1, 0.6
_LESION_RADIUS, _MARK_RADIUS = (0.5, 0.1), (0.24, 0.06)
_AMONG_MARKS = F(0.85)
"""A lesion among marks has this much of its size and of its freedom, to leave room for them."""
_LONE_MARK_RADIUS = (0.28, 0.06)
_MOST_STRETCH = 1.2
_EXTENT = 1.5
"""No motif reaches further from its centre, in units of its radius."""
_BESIDE_LESION = tuple((y, x) for y in range(4) for x in range(4) if y in (0, 3) or x in (0, 3))
_ANYWHERE = tuple((y, x) for y in range(3) for x in range(3))
_REACH = {"full": (1.0, 1.0), "disc": (0.78, 0.78), "wide disc": (0.9, 0.9), "ellipse": (0.76, 0.8)}
_REACH |= {"fan": (0.85, 0.62), "band": (0.72, 1.0)}


@dataclass(frozen=True)
class Canvas:
    """Draws the images of one dataset. Image i depends on (stream, i, its scene) alone."""

    look: Look
    size: int
    channels: int
    stream: Stream
    distractors: Integers
    """Motifs that carry no label and may stand anywhere."""

    def draw(self, scene: Scene, start: int) -> NDArray[np.uint8]:
        """Return images `start`, `start + 1`, ...: (n, size, size), or (n, size, size, 3)."""
        slots = len(scene.marks) + _MOST_DISTRACTORS
        # Two bytes of noise per pixel, eight bytes per word, rounded up.
        noise_words = -(-self.size * self.size // 4)
        lengths = (_GLOBALS, background_words(self.look), noise_words, _PLACES, slots * _PER_MARK)
        numbers = range(start, start + scene.count)
        words = np.stack([self.stream.sequence(number, sum(lengths)) for number in numbers])
        parts = np.split(words, np.cumsum(lengths)[:-1], axis=1)
        draws, (grid, noise, places, marks) = unit_floats(parts[0]), parts[1:]
        content = self._lesion(scene, draws)
        content += self._marks(scene, draws, places, unit_floats(marks))
        polarity = np.where(draws[:, 0] < F(self.look.bright), F(1), F(-1))
        contrast = polarity * F(self.look.contrast) * (F(0.6) + F(0.8) * draws[:, 5])
        depth = (F(0.5) + draws[:, 13])[:, None, None]
        base = F(self.look.base)
        level = base + (background(self.look, self.size, grid) - base) * depth
        level += (
            content * contrast[:, None, None] + self._weave(scene, draws) + self._veil(scene, draws)
        )
        return self._appearance(level, draws, noise)

    # -- content -----------------------------------------------------------------------------------

    def _lesion(self, scene: Scene, draws: Floats) -> Floats:
        cover = np.zeros((scene.count, self.size, self.size), dtype=np.float32)
        rows = np.flatnonzero(scene.lesion != ABSENT)
        if not len(rows):
            return cover
        draws, reach = draws[rows], _REACH[self.look.field]
        low, spread = _LESION_RADIUS
        room = _AMONG_MARKS if scene.marks else F(1)
        radii = (F(low) + F(spread) * draws[:, 4]) * room
        y, x = pixel_centres(self.size)
        away_y = y[None] - ((draws[:, 1] - F(0.5)) * F(0.6 * reach[0]) * room)[:, None, None]
        away_x = x[None] - ((draws[:, 2] - F(0.5)) * F(0.6 * reach[1]) * room)[:, None, None]
        u, v = _rotate(away_y, away_x, draws[:, 3], radii)
        stretch = np.sqrt(F(1) + F(_MOST_STRETCH) * scene.lesion_stretch[rows])[:, None, None]
        u, v = u * stretch, v / stretch
        pixels = radii * F(self.size / 2)
        one = stamp(scene.lesion[rows], u, v, pixels)
        turn = scene.lesion_turn[rows]
        shape = np.where((turn < 0)[:, None, None], one, _two_discs(u, v, turn, pixels))
        strength = scene.lesion_strength[rows][:, None, None]
        cover[rows] = shape * strength * _shade(scene.lesion_shade[rows], u, v)
        return cover

    def _marks(self, scene: Scene, draws: Floats, order: Words, chances: Floats) -> Floats:
        places = self._places(scene)
        # Marks may reach over the edge: draw on a larger canvas and cut off its margin.
        margin = self.size // 4 + 4
        wide = self.size + 2 * margin
        canvas = np.zeros((scene.count, wide, wide), dtype=np.float32)
        # The next mark of each image stands at the next place of a random order of its own.
        places_in_order = np.argsort(order[:, : len(places)], axis=1, kind="stable")
        placed = np.zeros(scene.count, dtype=np.int64)
        columns = [
            *zip(scene.marks, scene.mark_strengths, strict=True),
            *self._distractors(scene, draws),
        ]
        for slot, (motifs, strength) in enumerate(columns):
            rows = np.flatnonzero(motifs != ABSENT)
            if len(rows):
                centres = places[places_in_order[rows, placed[rows] % len(places)]]
                draw = chances[rows, slot * _PER_MARK : (slot + 1) * _PER_MARK]
                radius = _MARK_RADIUS if scene.has_lesion else _LONE_MARK_RADIUS
                self._add_mark(canvas, rows, motifs[rows], centres, draw, radius, strength)
                placed[rows] += 1
        inner = slice(margin, margin + self.size)
        return np.minimum(canvas[:, inner, inner], F(1.2))

    def _add_mark(
        self,
        canvas: Floats,
        images: Integers,
        motifs: Integers,
        centres: Floats,
        chances: Floats,
        radius: tuple[float, float],
        strength: float,
    ) -> None:
        """Add one mark to each of these images, in a window around its centre."""
        low, spread = radius
        half = F(self.size / 2)
        radii = (F(low) + F(spread) * chances[:, 2]) * half
        margin = (canvas.shape[1] - self.size) // 2
        middle = (centres + (chances[:, :2] - F(0.5)) * F(0.2)) * half + half
        reach = math.ceil(_EXTENT * (low + spread) * self.size / 2) + 1
        corner = np.floor(middle).astype(np.int64) - reach
        window = np.arange(2 * reach + 1)
        rows, columns = corner[:, :1] + window, corner[:, 1:] + window
        away_y = (rows.astype(np.float32) + F(0.5) - middle[:, :1])[:, :, None]
        away_x = (columns.astype(np.float32) + F(0.5) - middle[:, 1:])[:, None, :]
        u, v = _rotate(away_y, away_x, chances[:, 3], radii)
        cover = stamp(motifs, u, v, radii) * F(strength)
        window_rows, window_columns = rows[:, :, None] + margin, columns[:, None, :] + margin
        canvas[images[:, None, None], window_rows, window_columns] += cover

    def _places(self, scene: Scene) -> Floats:
        """Return where marks may stand, within the field of view: around a lesion, or anywhere."""
        cells, side = (_BESIDE_LESION, 4) if scene.has_lesion else (_ANYWHERE, 3)
        centres = (np.array(cells, dtype=np.float32) * F(2) + F(1)) / F(side) - F(1)
        return centres * np.array(_REACH[self.look.field], dtype=np.float32)

    def _distractors(self, scene: Scene, draws: Floats) -> list[tuple[Integers, float]]:
        """Return columns of motifs that carry no label, and how strong they are."""
        columns: list[tuple[Integers, float]] = []
        for number in range(_MOST_DISTRACTORS if len(self.distractors) else 0):
            # One draw gives two answers. In the upper third of its range there is a distractor; the
            # place within the third says which one.
            thirds = draws[:, 12 + number] * F(3)
            within = thirds - np.floor(thirds)
            index = np.floor(within * F(len(self.distractors))).astype(np.int64)
            motifs = np.where(thirds < F(2), ABSENT, self.distractors[index])
            columns.append((motifs, _DISTRACTOR_STRENGTH))
        return columns

    def _weave(self, scene: Scene, draws: Floats) -> Floats:
        """Return fine parallel lines all over the image, in other directions in each quarter."""
        present = (scene.weave != ABSENT) | (scene.weave_balance >= 0)
        if not present.any():
            return np.zeros((scene.count, 1, 1), dtype=np.float32)
        tilt = np.floor((draws[:, 8] - F(0.5)) * F(24)).astype(np.int64)
        y, x = pixel_centres(self.size)
        waves = [self._lines(angle + tilt, draws, y, x) for angle in _WEAVE_DIRECTIONS]
        quarters = np.array(_QUARTERS)[np.maximum(scene.weave, 0)]
        place = 2 * (y > 0).astype(np.int64) + (x > 0)
        directions = quarters[:, place]
        by_quarter = np.choose(directions, waves)
        balance = np.maximum(scene.weave_balance, F(0))[:, None, None]
        crossed = np.sqrt(F(1) - balance) * waves[0] + np.sqrt(balance) * waves[2]
        wave = np.where((scene.weave_balance >= 0)[:, None, None], crossed, by_quarter)
        strength = np.where(present, scene.weave_strength, F(0))
        depth = strength * F(_WEAVE_DEPTH) * (F(0.7) + F(0.6) * draws[:, 7])
        return wave * depth[:, None, None]

    def _lines(self, angles: Integers, draws: Floats, y: Floats, x: Floats) -> Floats:
        cycles = F(_WEAVE_CYCLES) * (F(0.45) + F(0.1) * draws[:, 9])
        cos, sin = _COS[angles % 360][:, None, None], _SIN[angles % 360][:, None, None]
        places = (cos * x + sin * y) * cycles[:, None, None] + draws[:, 6, None, None]
        return triangle_wave(places) - F(0.5)

    def _veil(self, scene: Scene, draws: Floats) -> Floats:
        """Return a soft slope that makes one side of the image lighter and the other darker."""
        y, x = pixel_centres(self.size)
        tilt = np.floor((draws[:, 7] - F(0.5)) * F(60)).astype(np.int64) % 360
        slope = _COS[tilt][:, None, None] * x + _SIN[tilt][:, None, None] * y
        return slope * (scene.veil * F(_VEIL_DEPTH))[:, None, None]  # type: ignore[no-any-return]

    # -- appearance --------------------------------------------------------------------------------

    def _appearance(self, level: Floats, draws: Floats, noise: Words) -> NDArray[np.uint8]:
        """Return the image of these levels: blurred, lit, with noise, cut to the view, coloured."""
        for _ in range(self.look.blur):
            level = _blur(level)
        gain = (F(0.8) + F(0.4) * draws[:, 9])[:, None, None]
        lift = ((draws[:, 10] - F(0.5)) * F(0.24))[:, None, None]
        level = (level - F(0.5)) * gain + F(0.5) + lift
        # The sum of two uniform bytes has a triangular density from -1 to 1: noise without a
        # logarithm or a cosine. Grain is the same everywhere, speckle grows with the level.
        pairs = byte_floats(noise)[:, : 2 * self.size * self.size]
        grain = ((pairs[:, 0::2] + pairs[:, 1::2]) * F(1 / 255) - F(1)).reshape(level.shape)
        level = level + grain * (F(self.look.grain * 2) + F(self.look.speckle) * level)
        level = clip(level) * field_of_view(self.look, self.size)
        if self.channels == 1:
            return _to_bytes(level)
        colours = [self.look.dark, self.look.middle, self.look.light]
        stops = np.array(colours, dtype=np.float32) * F(1 / 255)
        balance = F(0.92) + F(0.16) * draws[:, [14, 15, 11]]
        return _to_bytes(_colour(level, stops) * balance[:, None, None, :])


def _two_discs(u: Floats, v: Floats, turn: Floats, radii: Floats) -> Floats:
    """Return how much two discs, with the area of a motif together, cover each pixel."""
    radius = math.sqrt(AREA / (2 * math.pi))
    angles = np.floor(np.maximum(turn, F(0)) * F(90) + F(0.5)).astype(np.int64)
    cos, sin = _COS[angles][:, None, None], _SIN[angles][:, None, None]
    along, across = np.abs(cos * u + sin * v) - F(1.5 * radius), cos * v - sin * u
    distance = np.sqrt(along * along + across * across) - F(radius)
    return clip(F(0.5) - distance * radii[:, None, None])


def _shade(directions: Integers, u: Floats, v: Floats) -> Floats:
    """Return factors around 1 that grow in these directions, or 1 where there is none."""
    angles = 120 * np.maximum(directions, 0)
    slope = _COS[angles][:, None, None] * u + _SIN[angles][:, None, None] * v
    depth = np.where(directions == ABSENT, F(0), F(_SHADE_DEPTH))[:, None, None]
    return F(1) + depth * np.minimum(np.maximum(slope, F(-1)), F(1))  # type: ignore[no-any-return]


def _rotate(y: Floats, x: Floats, turns: Floats, radii: Floats) -> tuple[Floats, Floats]:
    """Return coordinates in units of the radius, rotated by -12 to 12 degrees (turns of 0 to 1)."""
    angles = np.floor((turns - F(0.5)) * F(2 * _MOST_DEGREES + 1)).astype(np.int64) % 360
    inverse = F(1) / radii
    cos, sin = (_COS[angles] * inverse)[:, None, None], (_SIN[angles] * inverse)[:, None, None]
    return cos * x + sin * y, cos * y - sin * x


def _blur(level: Floats) -> Floats:
    """Return the levels after (1 2 1)/4 both ways, at steps from 1/56 of the side to one pixel."""
    # Each step is half of the one before, so the images of all sizes look equally blurred.
    step = max(1, level.shape[1] // 56)
    while step:
        for axis in (1, 2):
            widths = [(0, 0), (0, 0), (0, 0)]
            widths[axis] = (step, step)
            padded = np.pad(level, widths, "edge")
            places = np.arange(level.shape[axis])
            before = np.take(padded, places, axis=axis)
            after = np.take(padded, places + 2 * step, axis=axis)
            level = level * F(0.5) + (before + after) * F(0.25)
        step //= 2
    return level


def _colour(level: Floats, stops: Floats) -> Floats:
    """Return dark to middle to light, channel by channel."""
    lower = np.minimum(level * F(2), F(1))[..., None]
    upper = np.maximum(level * F(2) - F(1), F(0))[..., None]
    dark, middle, light = stops
    return dark + (middle - dark) * lower + (light - middle) * upper  # type: ignore[no-any-return]


def _to_bytes(level: Floats) -> NDArray[np.uint8]:
    stored: NDArray[np.uint8] = np.floor(clip(level) * F(255) + F(0.5)).astype(np.uint8)
    return stored
