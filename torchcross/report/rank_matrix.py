"""A table of sources and targets, coloured by the rank of each source within its target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Final

from torchcross.report.html import TableColumn, head_cell, sortable_rows
from torchcross.report.markup import Markup, element

SHADES: Final = 6


@dataclass(frozen=True)
class MatrixCell:
    """A number as text with a smaller line under it; no text: the cell is blank.

    rank_share  0 for the best of a target, 1 for the last; NaN: it is not ranked
    """

    text: str = ""
    value: float = nan
    more: str = ""
    rank_share: float = nan
    hint: str = ""


def rank_matrix(
    caption: str,
    corner: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[MatrixCell]]],
) -> Markup:
    """A sortable table: the better a source ranks within its target, the darker its cell."""
    heads = [head_cell(TableColumn(corner), 0)]
    heads += [
        head_cell(TableColumn(name, is_number=True), place)
        for place, name in enumerate(columns, start=1)
    ]
    body = [
        element("tr", element("th", name, scope="row"), *map(_cell, cells)) for name, cells in rows
    ]
    return element("div", sortable_rows(caption, heads, body), class_="ranks")


def _cell(cell: MatrixCell) -> Markup:
    value = "" if isnan(cell.value) else repr(cell.value)
    style = "number"
    if not isnan(cell.rank_share):
        style += f" shade{1 + round((SHADES - 1) * (1 - cell.rank_share))}"
        if not cell.rank_share:
            style += " best"
    more = [element("small", cell.more)] if cell.more else []
    return element("td", cell.text, *more, class_=style, data_value=value, title=cell.hint or None)
