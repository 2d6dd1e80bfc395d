"""Small made-up image sets, one per target type, for examples, tests and a first look. Nothing in
them is real data.

Every set is a pure function of (seed, domain, samples): shapes drawn on a noisy background. The
domains `ink` (dark on light) and `chalk` (light on dark) show the same shapes in different looks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.argument_checks import as_int, check_choice
from torchcross._kit.randomness import Stream, unit_numbers
from torchcross.data.sources.array_source import TensorSource
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal
from torchcross.task import Task

Floats = NDArray[np.float64]
SHAPES = ("disc", "square", "star", "ring", "cross")
GRADES = {0: "none", 1: "one", 2: "few", 4: "several", 8: "many"}
_CELLS = ((0.28, 0.28), (0.28, 0.72), (0.72, 0.28), (0.72, 0.72), (0.5, 0.5))
_SUBJECT_SIZE = 4


def multiclass(
    samples: int = 600, *, domain: str = "ink", size: int = 28, seed: int = 0
) -> TensorSource:
    """Which of five shapes stands in the middle. Four consecutive images come from each subject."""
    canvas, draws = _Canvas(samples, domain, size), _draws(seed, domain, "shape", samples)
    labels = _uniform_classes(draws[:, 0], len(SHAPES))
    centres = 0.5 + 0.16 * (draws[:, 1:3] - 0.5)
    for code, shape in enumerate(SHAPES):
        canvas.paint(_FIGURES[shape], centres, 0.24 + 0.08 * draws[:, 3], labels == code)
    subjects = np.arange(samples) // _SUBJECT_SIZE
    task = Task("shape", MultiClass(SHAPES), domain)
    return TensorSource(canvas.finish(seed, "shape"), labels, task, groups=subjects)


def binary(
    samples: int = 600, *, domain: str = "ink", size: int = 28, seed: int = 0
) -> TensorSource:
    """Whether the disc has a hole, which one image in four has."""
    canvas, draws = _Canvas(samples, domain, size), _draws(seed, domain, "hole", samples)
    labels = draws[:, 0] < 0.25
    centres = 0.5 + 0.16 * (draws[:, 1:3] - 0.5)
    canvas.paint(_disc, centres, 0.26 + 0.08 * draws[:, 3], ~labels)
    canvas.paint(_ring, centres, 0.26 + 0.08 * draws[:, 3], labels)
    return TensorSource(
        canvas.finish(seed, "hole"), labels, Task("hole", Binary(["solid", "hole"]), domain)
    )


def ordinal(
    samples: int = 600, *, domain: str = "ink", size: int = 28, seed: int = 0
) -> TensorSource:
    """How many specks there are: the grades 0, 1, 2, 4 and 8, with real gaps between them."""
    canvas, draws = _Canvas(samples, domain, size), _draws(seed, domain, "specks", samples)
    ranks = _uniform_classes(draws[:, 0], len(GRADES))
    grades = np.array(list(GRADES))[ranks]
    for speck in range(max(GRADES)):
        places = 0.12 + 0.76 * draws[:, 2 + 2 * speck : 4 + 2 * speck]
        canvas.paint(_disc, places, np.full(samples, 0.07), grades > speck)
    return TensorSource(
        canvas.finish(seed, "specks"), grades, Task("specks", Ordinal(GRADES), domain)
    )


def multilabel(
    samples: int = 600, *, domain: str = "ink", size: int = 28, seed: int = 0
) -> TensorSource:
    """Which of five shapes are there, from common (one image in two) to rare (one in eight)."""
    canvas, draws = _Canvas(samples, domain, size), _draws(seed, domain, "shapes", samples)
    labels = draws[:, : len(SHAPES)] < np.geomspace(0.5, 0.125, len(SHAPES))
    for code, (shape, cell) in enumerate(zip(SHAPES, _CELLS, strict=True)):
        centres = np.array(cell) + 0.08 * (draws[:, 5 + 2 * code : 7 + 2 * code] - 0.5)
        canvas.paint(_FIGURES[shape], centres, np.full(samples, 0.17), labels[:, code])
    return TensorSource(
        canvas.finish(seed, "shapes"), labels, Task("shapes", MultiLabel(SHAPES), domain)
    )


def _draws(seed: int, domain: str, task: str, samples: int) -> Floats:
    """32 numbers in [0, 1) per image."""
    as_int("samples", samples)
    check_choice("domain", domain, ("ink", "chalk"))
    words = Stream(seed, "toys", domain, task).sequence(0, samples * 32)
    return unit_numbers(words).reshape(samples, 32)


def _uniform_classes(draws: Floats, count: int) -> NDArray[np.int64]:
    return (draws * count).astype(np.int64)


class _Canvas:
    """Images under construction: how much mark lies on every pixel."""

    def __init__(self, samples: int, domain: str, size: int) -> None:
        self.domain = domain
        self.size = as_int("size", size, least=8)
        self.marks = np.zeros((samples, size, size))
        ticks = (np.arange(size) + 0.5) / size
        self._x, self._y = np.meshgrid(ticks, ticks)

    def paint(
        self,
        figure: Callable[[Floats, Floats], Floats],
        centres: Floats,
        radii: Floats,
        where: NDArray[np.bool_],
    ) -> None:
        """Draw a figure of unit radius, given by its signed distance, with a soft edge."""
        chosen = np.flatnonzero(where)
        x = (self._x - centres[chosen, 0, None, None]) / radii[chosen, None, None]
        y = (self._y - centres[chosen, 1, None, None]) / radii[chosen, None, None]
        inside = np.clip(0.5 - figure(x, y) * radii[chosen, None, None] * self.size, 0, 1)
        self.marks[chosen] = np.maximum(self.marks[chosen], inside)

    def finish(self, seed: int, task: str) -> NDArray[np.uint8]:
        """Grey images (N, 1, size, size): marks on a noisy background."""
        words = Stream(seed, "toy noise", self.domain, task).sequence(0, self.marks.size)
        noise = (unit_numbers(words).reshape(self.marks.shape) - 0.5) * 70
        paper, mark = (215, 60) if self.domain == "ink" else (50, 190)
        images = paper + (mark - paper) * self.marks + noise
        return np.clip(np.rint(images), 0, 255).astype(np.uint8)[:, None]


def _disc(x: Floats, y: Floats) -> Floats:
    distance: Floats = np.hypot(x, y) - 1
    return distance


def _ring(x: Floats, y: Floats) -> Floats:
    distance: Floats = np.abs(np.hypot(x, y) - 0.75) - 0.25
    return distance


def _square(x: Floats, y: Floats) -> Floats:
    distance: Floats = np.maximum(np.abs(x), np.abs(y)) - 0.85
    return distance


def _cross(x: Floats, y: Floats) -> Floats:
    wide, tall = (
        np.maximum(np.abs(x) - 1, np.abs(y) - 0.28),
        np.maximum(np.abs(y) - 1, np.abs(x) - 0.28),
    )
    distance: Floats = np.minimum(wide, tall)
    return distance


def _star(x: Floats, y: Floats) -> Floats:
    distance: Floats = np.hypot(x, y) - (0.66 + 0.4 * np.cos(5 * np.arctan2(y, x)))
    return distance


_FIGURES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "disc": _disc,
    "square": _square,
    "star": _star,
    "ring": _ring,
    "cross": _cross,
}
