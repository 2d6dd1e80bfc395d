"""Counts in sentences."""

from __future__ import annotations


def count_text(count: int, plural: str) -> str:
    """`count_text(1, "rows")` is "1 row"; the plural is the singular and an s."""
    return f"{count:,} {plural.removesuffix('s') if count == 1 else plural}"
