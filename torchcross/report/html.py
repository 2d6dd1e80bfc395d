"""Pieces that the sections of the page are made of: sortable tables, nested values, keys of
colours, downloads.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from torchcross.report.markup import Markup, as_text, element, join
from torchcross.report.svg import marker

__all__ = [
    "Cell",
    "Head",
    "data_link",
    "head_cell",
    "keys",
    "note",
    "prose",
    "section",
    "table",
    "tree",
    "warning",
]


@dataclass(frozen=True)
class Head:
    """A column: its name, and whether it holds numbers."""

    name: str
    is_number: bool = False


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and the number it is sorted by where that is another."""

    shown: str
    value: float | None = None


def head_cell(head: Head, column: int, name: str = "", **more: str | int) -> Markup:
    """A column's header, a button that sorts by it; `name` is what a screen reader hears after
    sorting.
    """
    kind = "number" if head.is_number else "text"
    button = element("button", head.name, type="button")
    given: dict[str, str | int] = {"class_": kind, **more}
    return element(
        "th",
        button,
        scope="col",
        data_column=column,
        data_kind=kind,
        data_name=name or head.name,
        **given,
    )


def table(caption: str, heads: Sequence[Head], rows: Sequence[Sequence[Cell | str]]) -> Markup:
    """A table sorted by a click on a header; the first cell of a row is its header, and text."""
    top = element("tr", *(head_cell(head, column) for column, head in enumerate(heads)))
    body = [
        element("tr", *(_cell(cell, heads[column], column == 0) for column, cell in enumerate(row)))
        for row in rows
    ]
    inside = element(
        "table",
        element("caption", caption),
        element("thead", top),
        element("tbody", *body),
        class_="sortable",
    )
    return scrolled(inside, caption)


def scrolled(inside: Markup, name: str) -> Markup:
    """What is wider than a phone scrolls by itself, with the keyboard too."""
    return element("div", inside, class_="scroll", role="region", tabindex=0, aria_label=name)


def _cell(cell: Cell | str, head: Head, is_first: bool) -> Markup:
    given = cell if isinstance(cell, Cell) else Cell(cell)
    value = None if given.value is None else repr(given.value) if isfinite(given.value) else ""
    kind = "number" if head.is_number else None
    if is_first:
        return element("th", given.shown, scope="row")
    return element("td", given.shown, class_=kind, data_value=value)


def section(identifier: str, title: str, *parts: str) -> Markup:
    heading = element("h2", title, id=f"{identifier}-title")
    return element("section", heading, *parts, id=identifier, aria_labelledby=f"{identifier}-title")


def note(*parts: str) -> Markup:
    return element("p", *parts, class_="note")


def warning(*parts: str) -> Markup:
    return element("p", element("strong", "Note: "), *parts, class_="warning")


def prose(text: str) -> Markup:
    """Words; what stands between `backticks` is a setting or a name."""
    return join(
        element("code", piece) if place % 2 else as_text(piece)
        for place, piece in enumerate(text.split("`"))
    )


def keys(names: Sequence[tuple[str, int]]) -> Markup:
    """Which colour and mark belongs to which name."""
    return element(
        "ul", *(element("li", key(series), name) for name, series in names), class_="keys"
    )


def key(series: int) -> Markup:
    mark = marker(6, 6, series, size=4.2)
    return element("svg", mark, viewBox="0 0 12 12", class_="key", aria_hidden="true")


def tree(value: object) -> Markup:
    """Nested mappings and lists in full, as definition lists."""
    if isinstance(value, Mapping):
        if not value:
            return as_text("empty")
        pairs = [
            part
            for name, item in value.items()
            for part in (element("dt", str(name)), _definition(item))
        ]
        return element("dl", *pairs, class_="tree")
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        items = list(value) if isinstance(value, Sequence) else sorted(value, key=str)
        if any(isinstance(item, Mapping | list | tuple) for item in items):
            return tree(dict(enumerate(items, 1)))
        return join([tree(item) for item in items], ", ") if items else as_text("none")
    if value is None or isinstance(value, bool):
        return as_text({None: "none", True: "yes", False: "no"}[value])
    if value == "":
        return as_text("none given")
    return as_text(value)


def _definition(value: object) -> Markup:
    shown = tree(value)
    if len(shown) < 4000:
        return element("dd", shown)
    return element("dd", element("details", element("summary", "show"), shown))


def data_link(text: str, content: bytes, name: str, media: str, **more: str) -> Markup:
    """A link that holds what it downloads."""
    address = f"data:{media};base64,{base64.b64encode(content).decode('ascii')}"
    return element("a", text, href=address, download=name, **more)
