"""What a training run comes back with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["FitResult", "Point", "Stopped"]

Stopped = Literal["steps", "patience"]


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the learning curve: the mean loss since the point before, and the score where it
    was validated.

    A score of NaN is one that `validate` could not define.
    """

    step: int
    loss: float
    score: float | None


@dataclass(frozen=True, slots=True)
class FitResult:
    """How training went. The algorithm holds the weights of `best_step`, or of the last step
    without validation.

    steps    that were done
    stopped  why: all "steps" were done, or "patience" ran out
    history  one point for each validation, or a hundred over the run
    path     of the weights that the algorithm holds, where a folder was given
    """

    steps: int
    best_step: int | None
    best_score: float | None
    stopped: Stopped
    history: tuple[Point, ...]
    path: Path | None

    def _repr_html_(self) -> str:
        """The learning curve as a table, for notebooks."""
        best = (
            "not validated"
            if self.best_step is None
            else f"best {self.best_score:.4g} at step {self.best_step}"
        )
        rows = "".join(
            f"<tr><td>{point.step}</td><td>{point.loss:.4g}</td>"
            f"<td>{'' if point.score is None else format(point.score, '.4g')}</td></tr>"
            for point in self.history
        )
        return (
            f"<p>{self.steps} steps, stopped by {self.stopped};"
            f" {best}</p><table><thead><tr><th>step</th><th>loss</th>"
            f"<th>score</th></tr></thead><tbody>{rows}</tbody></table>"
        )
