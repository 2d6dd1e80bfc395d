"""The row of an algorithm in a result that has one row for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from torchcross.errors import InputError


class NamedRow(Protocol):
    """A row that is about one algorithm."""

    @property
    def algorithm(self) -> str: ...


Row = TypeVar("Row", bound=NamedRow)


def row_of(rows: Sequence[Row], algorithm: str) -> Row:
    for row in rows:
        if row.algorithm == algorithm:
            return row
    raise InputError(
        f"{algorithm!r} is not compared here; choose from {[row.algorithm for row in rows]}"
    )
