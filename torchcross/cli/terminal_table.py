"""The table of a run in a terminal: one for each number of shots, and its legend.

It is made from the Markdown, which a pipe gets as it is, so that both say the same.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

_CELL_ENDS = re.compile(r"(?<!\\)\|")
_WORD_ENDS = re.compile(r"(?<=[-_ /])")
_ESCAPED = re.compile(r"\\(.)")
_DOMAIN, _MEAN, _MORE = "domain", "mean ", ", continued"
_GAP, _WIDEST_NAME = 2, 22
"""Characters between two columns, and those of a target's name before it is wrapped."""
_WIDEST_HEAD = 13


@dataclass(frozen=True)
class _Cell:
    """The lines of a cell; the first one is what matters, the second a remark in brackets."""

    lines: tuple[str, ...]
    is_best: bool = False

    @property
    def width(self) -> int:
        return max(map(len, self.lines))


def write_table(markdown: str) -> None:
    """Write a run's table to standard output: drawn in a terminal, as Markdown elsewhere."""
    if not sys.stdout.isatty():
        sys.stdout.write(f"{markdown}\n")
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False)
    head, *rows = _rows_of(markdown)
    legend = _plain(markdown.partition("\n\n")[2].strip())
    for shots, columns in _by_shots(head):
        title = ": ".join(filter(None, (shots, _title_of(head))))
        for part in _parts_that_fit(rows, head, columns, console.width):
            console.print(_table_of(title, head, rows, part))
            title = f"{title.removesuffix(_MORE)}{_MORE}"
    console.print(Text(legend, style="dim"))


def _rows_of(markdown: str) -> list[list[str]]:
    """The cells of the table's lines; the line of dashes is none of them."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    cells = [[each.strip() for each in _CELL_ENDS.split(line)[1:-1]] for line in lines]
    return [cells[0], *cells[2:]]


def _names_at(head: Sequence[str]) -> int:
    """The number of the column with the targets' names; what is before it is their domain."""
    return 1 if head[0] == _DOMAIN else 0


def _title_of(head: Sequence[str]) -> str:
    """What the numbers are: "AUROC (%)" of "target: AUROC (%)"."""
    return _plain(head[_names_at(head)]).partition(": ")[2]


def _by_shots(head: Sequence[str]) -> list[tuple[str, list[int]]]:
    """The columns of each number of shots; without a title where there is one number alone."""
    first = _names_at(head) + 1
    groups: dict[str, list[int]] = {}
    for place in range(first, len(head)):
        groups.setdefault(_shots_of(head[place]), []).append(place)
    return list(groups.items())


def _shots_of(name: str) -> str:
    shots = _plain(name).rpartition(", ")[2]
    return shots if re.fullmatch(r"\d+ shots?|all labels", shots) else ""


def _parts_that_fit(
    rows: Sequence[Sequence[str]], head: Sequence[str], columns: Sequence[int], width: int
) -> Iterator[list[int]]:
    """The columns in parts that a terminal has room for, each of at least one."""
    left = start = width - _WIDEST_NAME - _GAP
    part: list[int] = []
    for place in columns:
        wide = (
            max(_head_of(head[place]).width, *(_cell_of(row[place]).width for row in rows)) + _GAP
        )
        if part and wide > left:
            yield part
            part, left = [], start
        part.append(place)
        left -= wide
    yield part


def _table_of(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], columns: Sequence[int]
) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    names = _names_at(head)
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.padding = (0, _GAP, 0, 0)
    table.pad_edge = False
    table.add_column("target", max_width=_WIDEST_NAME, overflow="fold")
    for place in columns:
        heading = Text("\n".join(_head_of(head[place]).lines))
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        # The means over targets are the last rows and stand under a line.
        is_target = not row[names].startswith(_MEAN)
        if not is_target:
            table.add_section()
        domain = _plain(row[0]) if names else ""
        name = Text(_plain(row[names]), style="" if is_target else "bold")
        if domain:
            name.append(f"\n{domain}", style="dim")
        table.add_row(name, *(_text_of(_cell_of(row[place])) for place in columns))
    return table


def _head_of(markdown: str) -> _Cell:
    """The name of an algorithm, without the shots that stand over the table; long ones in lines."""
    name, shots = _plain(markdown), _shots_of(markdown)
    name = name.removesuffix(f", {shots}") if shots else name
    lines = [""]
    for word in _WORD_ENDS.split(name):
        if lines[-1] and len(lines[-1] + word) > _WIDEST_HEAD:
            lines.append("")
        lines[-1] += word
    return _Cell(tuple(lines))


def _cell_of(markdown: str) -> _Cell:
    text = _plain(markdown.replace("**", ""))
    number, bracket, remark = text.partition(" (")
    lines = (number, f"({remark}") if bracket else (number,)
    return _Cell(lines, is_best=markdown.startswith("**"))


def _text_of(cell: _Cell) -> Text:
    from rich.text import Text

    text = Text(cell.lines[0], style="bold" if cell.is_best else "")
    for remark in cell.lines[1:]:
        text.append(f"\n{remark}", style="not bold dim")
    return text


def _plain(markdown: str) -> str:
    return _ESCAPED.sub(r"\1", markdown)
