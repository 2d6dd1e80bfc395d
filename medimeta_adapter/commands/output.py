"""What commands write to standard output: text and tables."""

from __future__ import annotations

import sys

from rich.console import Console, RenderableType
from rich.table import Table

_NO_WRAPPING = 4000
"""Columns of an output that is not a terminal: one line stays one line, so that grep works."""


def write(text: str) -> None:
    """Write to standard output; characters that its encoding lacks become ASCII escapes."""
    try:
        sys.stdout.write(text)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "ascii"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def say(content: RenderableType) -> None:
    """Print with colours and wrapping on a terminal, as plain long lines elsewhere."""
    if sys.stdout.isatty():
        Console(highlight=False).print(content)
        return
    console = Console(file=sys.stdout, width=_NO_WRAPPING, color_system=None, highlight=False)
    with console.capture() as captured:
        console.print(content)
    write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table without rules; `right` names the columns of numbers."""
    listing = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in columns:
        if column in right:
            listing.add_column(column, justify="right", no_wrap=True)
        else:
            listing.add_column(column, overflow="fold")
    return listing
