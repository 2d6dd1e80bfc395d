"""Where the labels of points stand, so that none covers another one or a mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

CHARACTER_WIDTH: Final = 6.5
LABEL_HEIGHT: Final = 12.0
_SIDES: Final = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (-1, -1), (1, 1), (-1, 1))
_DISTANCES: Final = (7.0, 14.0, 24.0, 36.0, 50.0)
_NEAR: Final = 10.0


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """The area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0.0) * max(height, 0.0)

    def contains(self, other: Box) -> bool:
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.right >= other.right
            and self.bottom >= other.bottom
        )


@dataclass(frozen=True)
class LabelPlace:
    """The middle of a label, its box, and how far it is from its point."""

    x: float
    y: float
    box: Box
    distance: float

    @property
    def is_far(self) -> bool:
        """Whether a line should lead to the point."""
        return self.distance > _NEAR


def label_places(
    points: Sequence[tuple[float, float]],
    lengths: Sequence[int],
    frame: Box,
    lines: Sequence[Box] = (),
    mark_size: float = 5.0,
) -> list[LabelPlace | None]:
    """A place for the label of each point, in the frame; None where every place is covered.

    `lengths` are those of the texts, in characters. No label covers another one or a mark; where
    there is room, none covers one of the `lines`. Points with most neighbours choose first.
    """
    covered = [Box(x - mark_size, y - mark_size, x + mark_size, y + mark_size) for x, y in points]
    places: list[LabelPlace | None] = [None] * len(points)
    for number in sorted(range(len(points)), key=lambda number: -_crowd(points, number)):
        x, y = points[number]
        free = [
            place
            for place in _candidates(x, y, lengths[number] * CHARACTER_WIDTH)
            if frame.contains(place.box) and not any(place.box.overlap(box) for box in covered)
        ]
        if free:
            chosen = min(free, key=lambda place: _cost(place, lines))
            places[number] = chosen
            covered.append(chosen.box)
    return places


def _cost(place: LabelPlace, lines: Sequence[Box]) -> float:
    """How far the label is, in pixels, and how much of the lines it covers."""
    return place.distance + sum(place.box.overlap(line) for line in lines)


def _crowd(points: Sequence[tuple[float, float]], number: int) -> float:
    x, y = points[number]
    return sum(
        1 / (1 + ((x - a) / 60) ** 2 + ((y - b) / 20) ** 2)
        for other, (a, b) in enumerate(points)
        if other != number
    )


def _candidates(x: float, y: float, width: float) -> list[LabelPlace]:
    candidates = []
    for distance in _DISTANCES:
        for right, down in _SIDES:
            middle_x = x + right * (distance + width / 2)
            middle_y = y + down * (distance + LABEL_HEIGHT / 2 - (2 if right else 0))
            box = Box(
                middle_x - width / 2,
                middle_y - LABEL_HEIGHT / 2,
                middle_x + width / 2,
                middle_y + LABEL_HEIGHT / 2,
            )
            candidates.append(LabelPlace(middle_x, middle_y, box, distance))
    return candidates
