"""How wide a LaTeX table is on paper, and what helps where a page has less room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from torchcross.report.cells import Column
from torchcross.report.headline import cell_text, column_groups, head_name, target_text
from torchcross.report.summary import Summary

_LETTER: Final = 4.1
"""In points, a letter at \\footnotesize. All widths are in points."""
_GAP: Final = 12
"""The space between columns."""
_COLUMN, _PORTRAIT, _LANDSCAPE = 240, 469, 650
"""One column of two, and the text of a page of Letter with margins of an inch."""


@dataclass(frozen=True)
class _Table:
    """A part of the table: some of its columns, with or without the remarks of its cells."""

    name: str
    columns: Sequence[Column]
    has_remarks: bool = True

    def width(self, summary: Summary) -> int:
        names = max(len(target_text(summary, target)) + 2 for target in summary.targets)
        letters = names + sum(self._letters(summary, column) for column in self.columns)
        return round(_LETTER * letters + _GAP * (1 + len(self.columns)))

    def _letters(self, summary: Summary, column: Column) -> int:
        lengths = [len(head_name(summary, column[0])), 1]
        for target in summary.targets:
            if (text := cell_text(summary, target, column)) is not None:
                remark = 0 if self.has_remarks or not text.remark else 1 + len(text.remark)
                lengths.append(len(text.mean + text.after_mean) - remark)
        return max(lengths)


def width_note(summary: Summary) -> list[str]:
    """A comment where the table is wider than one column of text."""
    groups = [group.columns for group in column_groups(summary)]
    columns = [column for group in groups for column in group]
    width = _Table("", columns).width(summary)
    if width <= _COLUMN:
        return []
    about = f"% About {width} pt wide at \\footnotesize"
    if width <= _PORTRAIT:
        return [
            f"{about}: a portrait page has it, one column of two has not. There it needs table*."
        ]
    if width <= _LANDSCAPE:
        return [
            f"{about}, more than a portrait page has: put it into landscape (package pdflscape)."
        ]
    return [
        f"{about}, more than a page in landscape has ({_LANDSCAPE} pt)."
        f"{_what_fits(summary, groups)} To shrink it: \\resizebox{{\\linewidth}}{{!}}{{...}}"
        f" (package graphicx), to {100 * _LANDSCAPE // width} % in landscape."
    ]


def _what_fits(summary: Summary, groups: Sequence[Sequence[Column]]) -> str:
    """The least that can be left out so that a page has the rest; empty where nothing helps."""
    bare, each = "without what stands in brackets", "as a table for each number of shots"
    columns = [column for group in groups for column in group]
    choices = [[_Table(bare, columns, has_remarks=False)]]
    if len(groups) > 1:
        choices.append([_Table(each, group) for group in groups])
        choices.append([_Table(f"{each} and {bare}", group, has_remarks=False) for group in groups])
    for tables in choices:
        width = max(table.width(summary) for table in tables)
        if width <= _LANDSCAPE:
            page = "portrait" if width <= _PORTRAIT else "landscape (package pdflscape)"
            return f" {tables[0].name[:1].upper()}{tables[0].name[1:]} it fits {page}: {width} pt."
    return ""
