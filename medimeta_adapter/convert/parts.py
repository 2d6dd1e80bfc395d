"""Datasets in several parts, such as train and test, as one sequence of items."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, final

import numpy as np

from medimeta_adapter.convert.rows import Failed, Row, Texts
from medimeta_adapter.convert.splits import merged_split_words, split_names
from torchcross._kit.arrays import Indices


@final
class Parts:
    """Parts with a length, by name. A source that is no mapping is one part without a name."""

    def __init__(self, source: Any) -> None:
        self._is_named = isinstance(source, Mapping)
        self.by_name: dict[str, Any] = dict(source) if self._is_named else {"": source}
        self._lengths = [len(part) for part in self.by_name.values()]
        self._starts = np.cumsum([0, *self._lengths])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def locate(self, place: int) -> tuple[int, int]:
        """The number of the part that holds an item, and the item's place in it."""
        number = int(np.searchsorted(self._starts, place, side="right")) - 1
        return number, place - int(self._starts[number])

    def row_names(self) -> list[str]:
        """The name of every item: its part, and its place in the part."""
        return [f"{name}[{row}]" for name, part in self.by_name.items() for row in range(len(part))]

    def original_splits(self, what: str) -> Texts | None:
        """The split of every item, from the names of the parts."""
        if not self._is_named:
            return None
        return split_names(np.repeat(np.array(list(self.by_name), dtype=str), self._lengths), what)

    def notes(self, what: str) -> tuple[str, ...]:
        """What a user should know of the names of the parts, which are those of splits."""
        if not self._is_named:
            return ()
        return merged_split_words(np.array(list(self.by_name), dtype=str), what)


def read_one_by_one(row: Callable[[int], Row]) -> Callable[[Indices], Iterator[Row]]:
    """`Rows.read` from a function of a place. A row that raises becomes a `Failed` one."""

    def read(places: Indices) -> Iterator[Row]:
        for place in places.tolist():
            try:
                yield row(place)
            except Exception as error:  # noqa: BLE001  # reported later, together with all others
                yield Failed(error)

    return read
