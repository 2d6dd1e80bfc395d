"""Progress bars with an estimate of the time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from medimeta_adapter.convert.options import Progress

__all__ = ["progress_bar", "progress_bars"]


@contextmanager
def progress_bars(console: Console | None = None) -> Iterator[Callable[[str, int, int], None]]:
    """A bar per name, on standard error unless a console is given: `tell(name, done, total)`."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, TimeRemainingColumn(), console=console or Console(stderr=True)) as bars:
        known: dict[str, TaskID] = {}

        def tell(name: str, done: int, total: int) -> None:
            if name not in known:
                known[name] = bars.add_task(name, total=total)
            bars.update(known[name], completed=done, total=total)

        yield tell


@contextmanager
def progress_bar(name: str, console: Console | None = None) -> Iterator[Progress]:
    """One bar, as the converters call it: `tell(done, total)`."""
    with progress_bars(console) as tell:

        def one(done: int, total: int, /) -> None:
            tell(name, done, total)

        yield one
