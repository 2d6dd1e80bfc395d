"""Pieces of the page: sortable tables, nested values, keys of colours, downloads."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from torchcross.report.markup import Markup, as_text, element, join
from torchcross.report.svg import marker

_LONGEST_OPEN = 4000
"""A nested value with more characters than this is folded."""


@dataclass(frozen=True)
class TableColumn:
    """The name of a column, and whether it holds numbers."""

    name: str
    is_number: bool = False


@dataclass(frozen=True)
class TableCell:
    """The text of a cell, and the number it is sorted by where that is not the text."""

    text: str
    value: float | None = None


def head_cell(
    column: TableColumn,
    place: int,
    spoken_name: str = "",
    *marks: Markup,
    **attributes: str | int,
) -> Markup:
    """The header of a column: a button that sorts by it, with `marks` before the name.

    A screen reader says `spoken_name` after sorting, by default the name.
    """
    kind = "number" if column.is_number else "text"
    settings: dict[str, str | int] = {"class_": kind, **attributes}
    return element(
        "th",
        element("button", *marks, column.name, type="button"),
        scope="col",
        data_column=place,
        data_kind=kind,
        data_name=spoken_name or column.name,
        **settings,
    )


def sortable_table(
    caption: str, columns: Sequence[TableColumn], rows: Sequence[Sequence[TableCell | str]]
) -> Markup:
    """A table that a click on a header sorts. The first cell of a row is its header, and text."""
    heads = (head_cell(column, place) for place, column in enumerate(columns))
    body = []
    for name, *cells in rows:
        head = element("th", _as_cell(name).text, scope="row")
        body.append(element("tr", head, *map(_cell, cells, columns[1:])))
    return sortable_rows(caption, heads, body)


def sortable_rows(caption: str, heads: Iterable[Markup], body: Iterable[Markup]) -> Markup:
    """A sortable table of header cells and whole rows."""
    table = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", *body),
        class_="sortable",
    )
    return scroll_box(table, caption)


def _as_cell(cell: TableCell | str) -> TableCell:
    return cell if isinstance(cell, TableCell) else TableCell(cell)


def _cell(cell: TableCell | str, column: TableColumn) -> Markup:
    cell = _as_cell(cell)
    value = None
    if cell.value is not None:
        # Cells without a value sort to the end.
        value = repr(cell.value) if isfinite(cell.value) else ""
    return element("td", cell.text, class_="number" if column.is_number else None, data_value=value)


def scroll_box(content: Markup, name: str) -> Markup:
    """Content that is wider than a phone scrolls by itself, with the keyboard too."""
    return element("div", content, class_="scroll", role="group", tabindex=0, aria_label=name)


def section(identifier: str, title: str, *parts: str, is_folded: bool = False) -> Markup:
    """With `is_folded` a screen shows its title alone, until it is opened; paper has all of it."""
    title_id = f"{identifier}-title"
    content = [element("h2", title, id=title_id), *parts]
    if is_folded:
        content = [element("details", element("summary", content[0]), *parts, class_="part")]
    return element("section", *content, id=identifier, aria_labelledby=title_id)


def note(*parts: str) -> Markup:
    return element("p", *parts, class_="note")


def warning(*parts: str) -> Markup:
    return element("p", element("strong", "Note: "), *parts, class_="warning")


def explanation(title: str, meanings: Mapping[str, str]) -> Markup:
    """What words mean: a fold on the screen, and open on paper, where nobody can click."""
    pairs = []
    for name, text in meanings.items():
        pairs += [element("dt", name), element("dd", text)]
    meaning = element("dl", *pairs, class_="choices")
    fold = element("details", element("summary", title), meaning, class_="screen")
    printed = element("div", element("p", f"{title}:", class_="shelf"), meaning, class_="paper")
    return join([fold, printed])


def prose(text: str) -> Markup:
    """Words. Text between `backticks` is a setting or a name."""
    return join(
        element("code", piece) if place % 2 else as_text(piece)
        for place, piece in enumerate(text.split("`"))
    )


def series_keys(names: Sequence[tuple[str, int]]) -> Markup:
    """The colour and the mark of each name."""
    items = (element("li", series_key(series), name) for name, series in names)
    return element("ul", *items, class_="keys")


def series_key(series: int) -> Markup:
    mark = marker(6, 6, series, size=4.2)
    return element("svg", mark, viewBox="0 0 12 12", class_="key", aria_hidden="true")


def nested_values(value: object) -> Markup:
    """Nested mappings and lists in full, as definition lists."""
    if isinstance(value, Mapping):
        pairs = []
        for name, item in value.items():
            pairs += [element("dt", str(name)), _definition(item)]
        return element("dl", *pairs, class_="tree") if pairs else as_text("empty")
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        items = list(value) if isinstance(value, Sequence) else sorted(value, key=str)
        if any(isinstance(item, Mapping | list | tuple) for item in items):
            return nested_values(dict(enumerate(items, 1)))
        return join(map(nested_values, items), ", ") if items else as_text("none")
    if value is None or isinstance(value, bool):
        return as_text({None: "none", True: "yes", False: "no"}[value])
    return as_text("none given" if value == "" else value)


def _definition(value: object) -> Markup:
    content = nested_values(value)
    if len(content) >= _LONGEST_OPEN:
        content = element("details", element("summary", "show"), content)
    return element("dd", content)


def data_link(text: str, content: bytes, name: str, media_type: str, **attributes: str) -> Markup:
    """A link that holds what it downloads."""
    address = f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
    return element("a", text, href=address, download=name, **attributes)
