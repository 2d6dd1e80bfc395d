"""Tables in a terminal, of the commands and of a report of checks."""

from __future__ import annotations

from rich.table import Table


def listing_table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table without rules; `right` names the columns of numbers."""
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
            listing.add_column(column, justify="right", no_wrap=True, overflow="fold")
        else:
            listing.add_column(column, overflow="fold")
    return listing
