"""Names as cells of tables that people open in a spreadsheet, which runs what looks like a formula.

An apostrophe stands before such a name. Reading takes it away again, so every name survives the
trip: one that has apostrophes of its own there gets one more.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@]")


def cell_of_text(text: str) -> str:
    """The cell for a name. Numbers are no names: they are written as they are."""
    return f"'{text}" if _FORMULA.match(text) else text


def text_of_cell(cell: str) -> str:
    """The name in a cell that `cell_of_text` wrote, or that somebody else wrote without it."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
