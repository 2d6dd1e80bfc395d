"""Tables of pairs of algorithms, which grow with the square of the algorithms."""

from __future__ import annotations

from collections.abc import Sequence

from torchcross._kit.counts import count_text
from torchcross.report.html import TableCell, TableColumn, sortable_table
from torchcross.report.markup import Markup, element

_MOST_OPEN = 15
_MOST_SHOWN = 150


def pair_table(
    caption: str,
    columns: Sequence[TableColumn],
    rows: Sequence[tuple[tuple[str, str], Sequence[TableCell | str]]],
    best: str,
) -> list[Markup]:
    """A table with a row for each pair, ((first, second), cells).

    More than a screen of them is folded. Of more than 150, only those with `best` ("": not known)
    are shown, and a sentence says so.
    """
    shown, said = rows, []
    if len(rows) > _MOST_SHOWN and best:
        shown = [row for row in rows if best in row[0]]
        said = [
            element(
                "p",
                f"Of {count_text(len(rows), 'pairs')} those with {best} are shown, the best here."
                " All of them were tested, and p values are corrected over all.",
            )
        ]
    table = sortable_table(caption, columns, [cells for _, cells in shown])
    if len(shown) <= _MOST_OPEN:
        return [*said, table]
    heading = element("summary", f"{caption}: {count_text(len(shown), 'pairs')}")
    return [*said, element("details", heading, table)]
