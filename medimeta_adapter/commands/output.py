"""What commands write to standard output: text and tables."""

from __future__ import annotations

import sys

from rich.console import Console, RenderableType
from rich.table import Table

__all__ = ["say", "table", "write"]

_NO_WRAPPING = 4000
"""Columns of a standard output that is no terminal: a line stays a line, for grep and the like."""


def write(text: str) -> None:
    """What standard output's encoding does not know is written as Python writes it, in ASCII."""
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def say(content: RenderableType) -> None:
    """Colours and wrapping on a terminal, plain long lines elsewhere."""
    if sys.stdout.isatty():
        Console(highlight=False).print(content)
        return
    console = Console(file=sys.stdout, width=_NO_WRAPPING, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(content)
    write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table without lines; `right` are the columns of numbers."""
    made = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in columns:
        number = column in right
        made.add_column(
            column, justify="right" if number else "left", no_wrap=number, overflow="fold"
        )
    return made
