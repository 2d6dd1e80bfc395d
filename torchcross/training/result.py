"""The result of a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from torchcross._kit.curve_svg import curve_svg

Stopped = Literal["steps", "patience"]


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the learning curve: the mean loss since the point before, and the score.

    score  None: not validated; NaN: `validate` could not define it

    >>> from torchcross.training import Point
    >>> history = (Point(10, 0.9, 0.61), Point(20, 0.7, 0.72), Point(30, 0.6, 0.7))
    >>> max(history, key=lambda point: point.score).step  # as of FitResult.history
    20
    """

    step: int
    loss: float
    score: float | None


@dataclass(frozen=True, slots=True)
class FitResult:
    """The result of `fit`. The algorithm has the weights of `best_step`, or else of the last step.

    steps    how many were done
    stopped  the reason: all "steps" were done, or "patience" ran out
    history  one point for each validation; without validation, a hundred over the run
    path     the file of these weights, where there is a folder
    ranks    how many ranks trained together, in the order in which their number changed
    """

    steps: int
    best_step: int | None
    best_score: float | None
    stopped: Stopped
    history: tuple[Point, ...]
    path: Path | None
    ranks: tuple[int, ...] = (1,)

    def __repr__(self) -> str:
        return f"FitResult({self._summary()})"

    def _summary(self) -> str:
        best = "not validated"
        if self.best_step is not None:
            best = f"best {self.best_score:.4g} at step {self.best_step}"
        loss = f", last loss {self.history[-1].loss:.4g}" if self.history else ""
        return f"{self.steps} steps, stopped by {self.stopped}, {best}{loss}"

    def _repr_html_(self) -> str:
        """The summary and the learning curves, for notebooks."""
        scores = [(point.step, point.score) for point in self.history if point.score is not None]
        loss = curve_svg("loss", [(point.step, point.loss) for point in self.history])
        return f"<p>{self._summary()}</p>{loss}{curve_svg('score', scores)}"
