"""Small tables for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def html_table(
    caption: str, header: Sequence[str], rows: Iterable[Sequence[str]], notes: Iterable[str] = ()
) -> str:
    """A table whose cells are plain text, with notes under it."""
    head = _elements("th", header)
    body = "".join(f"<tr>{_elements('td', row)}</tr>" for row in rows)
    items = _elements("li", notes)
    head = f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
    table = f"<table>{head}<tbody>{body}</tbody></table>"
    return f"{table}<ul>{items}</ul>" if items else table


def _elements(name: str, texts: Iterable[str]) -> str:
    return "".join(f"<{name}>{escape(text)}</{name}>" for text in texts)
