"""Values of options, from text."""

from __future__ import annotations


def names_in(text: str) -> list[str]:
    """Split "a, b" at its commas."""
    return [part.strip() for part in text.split(",") if part.strip()]
