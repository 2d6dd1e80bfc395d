"""Counts in sentences: one is singular, large ones are grouped."""

from __future__ import annotations

import pytest

from torchcross._kit.counts import count_text


@pytest.mark.parametrize(
    ("count", "plural", "text"),
    [
        (0, "shots", "0 shots"),
        (1, "shots", "1 shot"),
        (5, "shots", "5 shots"),
        (1, "near duplicates", "1 near duplicate"),
        (12_000, "rows", "12,000 rows"),
    ],
)
def test_one_is_singular(count: int, plural: str, text: str) -> None:
    assert count_text(count, plural) == text
