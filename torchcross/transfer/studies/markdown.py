"""Markdown tables of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

BLANK: Final = "—"


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column on the left, the others on the right."""
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
