"""The result of a training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Stopped = Literal["steps", "patience"]


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the learning curve: the mean loss since the point before, and the score.

    score  None: not validated; NaN: `validate` could not define it
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

    def _repr_html_(self) -> str:
        """The learning curve as a table, for notebooks."""
        best = "not validated"
        if self.best_step is not None:
            best = f"best {self.best_score:.4g} at step {self.best_step}"
        rows = ""
        for point in self.history:
            score = "" if point.score is None else f"{point.score:.4g}"
            rows += f"<tr><td>{point.step}</td><td>{point.loss:.4g}</td><td>{score}</td></tr>"
        return (
            f"<p>{self.steps} steps, stopped by {self.stopped};"
            f" {best}</p><table><thead><tr><th>step</th><th>loss</th>"
            f"<th>score</th></tr></thead><tbody>{rows}</tbody></table>"
        )
