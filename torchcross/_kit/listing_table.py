"""Tables in a terminal, of the commands and of a report of checks."""

from __future__ import annotations

from rich.cells import cell_len
from rich.table import Column, Table
from rich.text import Text


def listing_table(title: str, *columns: str, right: tuple[str, ...] = (), gap: int = 2) -> Table:
    """An empty table without rules; `right` names the columns of numbers."""
    listing = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        padding=(0, gap, 0, 0),
    )
    for column in columns:
        if column in right:
            listing.add_column(column, justify="right", no_wrap=True, overflow="fold")
        else:
            listing.add_column(column, overflow="fold")
    return listing


def keep_words_whole(table: Table, width: int) -> bool:
    """Let no column of a listing break a word; False, and as it was, where that needs more room.

    rich makes columns narrow in proportion, and breaks words where others have room left.
    """
    least = [_narrowest(column) for column in table.columns]
    gaps = table.padding[1] * (len(least) - 1)
    if sum(least) + gaps > width:
        return False
    for column, characters in zip(table.columns, least, strict=True):
        column.min_width = characters
    return True


def _narrowest(column: Column) -> int:
    """The characters of its longest word, or of its longest cell where cells are not wrapped."""
    cells = (column.header, *column.cells)
    texts = [
        each.plain if isinstance(each, Text) else Text.from_markup(str(each)).plain
        for each in cells
    ]
    words = texts if column.no_wrap else [word for text in texts for word in text.split()]
    return max(map(cell_len, words), default=0)
