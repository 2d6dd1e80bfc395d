"""A progress bar on the terminal: episodes per second and time left."""

from __future__ import annotations

import math
import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

__all__ = ["Bar"]


class Bar:
    """A context that is told of every step. Without `wanted` it shows nothing; None: on a terminal
    only.
    """

    def __init__(
        self,
        wanted: bool | None,
        steps: int,
        done: int,
        items: int,
        what: str,
        *,
        console: Console | None = None,
    ) -> None:
        shown = sys.stderr.isatty() if wanted is None else wanted
        self._progress = _progress(console or Console(stderr=True), items, what) if shown else None
        if self._progress is not None:
            self._task = self._progress.add_task(
                "training", total=steps, completed=done, loss="", score=""
            )

    def step(self, step: int, loss: float, score: float | None) -> None:
        if self._progress is None:
            return
        self._progress.update(self._task, completed=step, loss=f"loss {loss:.4g}")
        if score is not None:
            self._progress.update(
                self._task, score="score undefined" if math.isnan(score) else f"score {score:.4g}"
            )

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress is not None:
            self._progress.stop()


def _progress(console: Console, items: int, what: str) -> Progress:
    columns: tuple[ProgressColumn, ...] = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Speed(items, what),
        TextColumn("{task.fields[loss]} {task.fields[score]}"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console)


class _Speed(ProgressColumn):
    def __init__(self, items: int, what: str) -> None:
        super().__init__()
        self._items = items
        self._what = what

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed * self._items:.3g} {self._what}/s")
