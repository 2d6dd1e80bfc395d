"""Tables as CSV text: names that a spreadsheet would compute are escaped."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any

from torchcross._kit.spreadsheet_cells import cell_of_text
from torchcross.messages import printable


def csv_text(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow(
            [cell_of_text(printable(cell)) if isinstance(cell, str) else cell for cell in row]
        )
    return text.getvalue()


def csv_number(value: float) -> float | str:
    """Nothing for a number that is none."""
    return value if isfinite(value) else ""
