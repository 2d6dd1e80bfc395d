"""Small tables for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["html_table"]


def html_table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str] = ()
) -> str:
    """A table whose cells are plain text, with notes under it."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    under = "".join(f"<li>{escape(note)}</li>" for note in notes)
    header = f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
    table = f"<table>{header}<tbody>{body}</tbody></table>"
    return table + (f"<ul>{under}</ul>" if under else "")
