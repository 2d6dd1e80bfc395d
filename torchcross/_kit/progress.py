"""The one progress bar: how much is done, how fast, and the time left.

Bars go to standard error. On a terminal and in a notebook they move; a pipe gets one line for each
bar when all is done.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self, TextIO, cast, final

from torchcross._kit.lost_readers import QuietStream
from torchcross.messages import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID

_BESIDE, _LEAST = 54, 8
"""Characters that a bar, its counts and its times take of a line; the name gets the rest."""


class _Screen:
    """Bars on standard error, or none. A context: the bars move inside it.

    unit            what the speed counts
    items_per_step  how many of them one step is
    wanted          None: only where standard error is a terminal. False: never
    transient       the bars go when they are done
    shows_pace      the speed and the time left at this speed stand beside the bars
    """

    def __init__(
        self,
        *,
        unit: str,
        items_per_step: int = 1,
        wanted: bool | None = None,
        transient: bool,
        console: Console | None = None,
        shows_pace: bool = True,
    ) -> None:
        self._progress: Progress | None = None
        self._lines: list[str] = []
        self._tasks: dict[str, TaskID] = {}
        if wanted is None:
            wanted = sys.stderr is not None and QuietStream(sys.stderr).isatty()
        if wanted:
            self._progress = _rich_progress(
                unit,
                items_per_step,
                self._lines,
                transient=transient,
                console=console or _standard_error(),
                shows_pace=shows_pace,
            )

    @property
    def is_visible(self) -> bool:
        return self._progress is not None

    def _show(self, name: str, done: int, total: int | None, note: str) -> None:
        progress = self._progress
        if progress is None:
            return
        if name not in self._tasks:
            label = _label(name, max(progress.console.width - _BESIDE, _LEAST))
            self._tasks[name] = progress.add_task(
                label, total=total, completed=done, note=note, first=done
            )
        progress.update(self._tasks[name], completed=done, total=total, note=note)

    def show_lines(self, lines: Sequence[str]) -> None:
        """Lines below the bars, in place of those that were there."""
        self._lines[:] = map(printable, lines)

    def __enter__(self) -> Self:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.stop()


@final
class ProgressBars(_Screen):
    """A bar for each name: `bars(name, done, total)`."""

    def __init__(
        self, *, unit: str = "images", wanted: bool | None = None, console: Console | None = None
    ) -> None:
        super().__init__(unit=unit, wanted=wanted, transient=False, console=console)

    def __call__(self, name: str, done: int, total: int | None) -> None:
        """Show how much is done."""
        self._show(name, done, total, "")


@final
class ProgressBar(_Screen):
    """with ProgressBar(100, "oct, protonet, 5 shots") as bar:
        rows = list(evaluate(..., progress=bar))

    It is on standard error, and goes when it is done. `wanted` None: only where standard error is a
    terminal; False: never. The other options are those of training and of the converters.
    """

    def __init__(
        self,
        total: int | None = None,
        name: str = "",
        *,
        unit: str = "episodes",
        items_per_step: int = 1,
        start: int = 0,
        wanted: bool | None = None,
        transient: bool = True,
        console: Console | None = None,
        shows_pace: bool = True,
    ) -> None:
        super().__init__(
            unit=unit,
            items_per_step=items_per_step,
            wanted=wanted,
            transient=transient,
            console=console,
            shows_pace=shows_pace,
        )
        self._name = name
        self._total = total
        if total is not None:
            self(start)

    def __call__(self, done: int, total: int | None = None, /, note: str = "") -> None:
        """Show that so many are done; a new total replaces the earlier one."""
        if total is not None:
            self._total = total
        self._show(self._name, done, self._total, note)


def _standard_error() -> Console:
    from rich.console import Console

    # In a notebook rich needs ipywidgets and warns without them; then it writes as to a pipe.
    jupyter = None if find_spec("ipywidgets") else False
    if sys.stderr is None:
        return Console(stderr=True, force_jupyter=jupyter, quiet=True)
    return Console(file=cast("TextIO", QuietStream(sys.stderr)), force_jupyter=jupyter)


def _rich_progress(
    unit: str,
    items_per_step: int,
    lines: Sequence[str],
    *,
    transient: bool,
    console: Console,
    shows_pace: bool,
) -> Progress:
    # rich takes a while to import, and most processes have no terminal.
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
            speed = task.speed
            if task.finished:
                # rich has that of the last steps, which a bar of two steps makes of a moment.
                done, seconds = task.completed - task.fields["first"], task.finished_time
                speed = done / seconds if done and seconds else None
            return Text("" if speed is None else f"{speed * items_per_step:.3g} {unit}/s")

    class BarsAndLines(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            yield from super().get_renderables()
            if lines:
                yield Text("\n".join(lines), no_wrap=True, overflow="ellipsis")

    speed = Speed(table_column=Column(no_wrap=True, min_width=16))
    left = TimeRemainingColumn(
        table_column=Column(no_wrap=True), elapsed_when_finished=not transient
    )
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=16),
        MofNCompleteColumn(table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[note]}"),
    ]
    if shows_pace:
        columns = [*columns[:-1], speed, columns[-1], left]
    return BarsAndLines(*columns, console=console, transient=transient)


def _label(name: str, width: int) -> str:
    """A name cut to the width, with what rich would read as markup escaped."""
    from rich.markup import escape

    name = printable(name)
    return escape(name if len(name) <= width else f"{name[: width - 1]}…")
