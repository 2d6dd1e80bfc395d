"""A progress bar for `evaluate`: episodes done, episodes per second, time left."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self, final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["ProgressBar"]

_BESIDE, _LEAST = 54, 8
"""What the bar, its counts and its times take of a line; the name gets the rest, or a little."""


@final
class ProgressBar:
    """with ProgressBar(100, "oct, protonet, 5 shots") as bar:
        rows = list(evaluate(..., progress=bar))

    It is on stderr, and goes when it is done. `wanted` None: only where stderr is a terminal;
    False: never.
    """

    def __init__(
        self,
        episodes: int,
        what: str = "",
        *,
        wanted: bool | None = None,
        console: Console | None = None,
    ) -> None:
        shown = sys.stderr.isatty() if wanted is None else wanted
        self._progress = _progress(console) if shown else None
        if self._progress is not None:
            room = max(self._progress.console.width - _BESIDE, _LEAST)
            self._task = self._progress.add_task(_escaped(_shortened(what, room)), total=episodes)

    def __call__(self, done: int) -> None:
        """Show that so many episodes are done."""
        if self._progress is not None:
            self._progress.update(self._task, completed=done)

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


def _progress(console: Console | None) -> Progress:
    # rich takes a while to import, and most evaluations have no terminal.
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
    from rich.table import Column
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.3g} episodes/s")

    columns = (
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=16),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        Speed(table_column=Column(no_wrap=True, min_width=16)),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
    )
    return Progress(*columns, console=console or Console(stderr=True), transient=True)


def _shortened(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _escaped(text: str) -> str:
    """A name is no markup of rich's."""
    from rich.markup import escape

    return escape(text)
