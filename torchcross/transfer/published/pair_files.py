"""Numbers of pairs from a CSV file: columns source, target, draw where there are several draws."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from torchcross._kit.argument_checks import repeated_names
from torchcross.errors import InputError, ReadError
from torchcross.transfer.page import PairDistances, TaskMap
from torchcross.transfer.similarity.geometry import TaskDistances
from torchcross.transfer.source_target import SourceTargetTable
from torchcross.transfer.table_files import (
    TableFile,
    check_spellings,
    number_in,
    read_table_file,
    required_name,
    whole_number_in,
)

KEYS = ("source", "target", "draw")
Pair = tuple[str, str]


@dataclass
class PairNumbers:
    """draws[pair][draw] of one column; NaN where the cell is blank."""

    name: str
    path: Path
    draws: dict[Pair, dict[int, float]] = field(default_factory=dict)

    def means(self) -> dict[Pair, float]:
        """Blank where a draw of the pair is."""
        return {pair: math.fsum(item.values()) / len(item) for pair, item in self.draws.items()}

    def distances(self) -> PairDistances:
        lows = {pair: min(item.values()) for pair, item in self.draws.items()}
        highs = {pair: max(item.values()) for pair, item in self.draws.items()}
        return PairDistances(*map(SourceTargetTable.of_pairs, (self.means(), lows, highs)))

    def repeated_draws(self) -> tuple[int, ...]:
        """The draws whose numbers are all those of an earlier one."""
        numbers = sorted({draw for item in self.draws.values() for draw in item})
        rows = {
            draw: tuple(item.get(draw, math.nan) for item in self.draws.values())
            for draw in numbers
        }
        known: set[tuple[float, ...]] = set()
        repeated = []
        for draw, row in rows.items():
            if row in known:
                repeated.append(draw)
            known.add(row)
        # A number without draws may stand beside one with several.
        return tuple(repeated) if len(known) > 1 else ()

    def task_map(self) -> TaskMap:
        """All tasks, where the distance of every two of them is known and the same both ways."""
        means = self.means()
        names = tuple(dict.fromkeys(name for pair in means for name in pair))
        values = np.zeros((len(names), len(names)))
        for row, one in enumerate(names):
            for column, other in enumerate(names):
                if one != other:
                    there, back = means.get((one, other)), means.get((other, one))
                    number = there if there is not None else back
                    values[row, column] = math.nan if number is None else number
        try:
            return TaskMap(TaskDistances(names, values))
        except InputError as error:
            return TaskMap(reason=str(error))


def read_pair_numbers(path: str | Path) -> list[PairNumbers]:
    """Each column of numbers of a file; a pair that stands twice in one draw is refused."""
    table = read_table_file(Path(path))
    if lost := [name for name in KEYS[:2] if name not in table.header]:
        raise ReadError(
            f"{path} has the columns {list(table.header)} and none called {lost[0]!r}; give source,"
            " target, draw where there are several, and a column for each distance or score"
        )
    names = [name for name in table.header if name not in KEYS]
    if not names:
        raise ReadError(f"{path} has no column of numbers beside {list(table.header)}; give one")
    columns = [PairNumbers(name, table.path) for name in names]
    for place, pair, draw, cells in _rows(table):
        for column in columns:
            draws = column.draws.setdefault(pair, {})
            if draw in draws:
                raise ReadError(
                    f"{place}: {pair[0]!r} -> {pair[1]!r} stands twice; give it once, or number"
                    " draws in a column draw"
                )
            draws[draw] = number_in(place, cells[column.name])
    return columns


def _rows(table: TableFile) -> Iterator[tuple[str, Pair, int, dict[str, str]]]:
    pairs = []
    for place, row in table.rows:
        cells = dict(zip(table.header, row, strict=True))
        source, target = (required_name(place, name, cells[name]) for name in KEYS[:2])
        draw = whole_number_in(place, "draw", cells["draw"]) if "draw" in cells else 0
        pairs.append((source, target))
        yield place, (source, target), draw, cells
    for side, kind in enumerate(("sources", "targets")):
        check_spellings(table.path, kind, [pair[side] for pair in pairs])


def check_column_names(columns: Sequence[PairNumbers], others: Iterable[str] = ()) -> None:
    """Refuse two columns of one name, and one of the `others`: a page names each number once."""
    if twice := repeated_names([*others, *(column.name for column in columns)]):
        files = dict.fromkeys(str(column.path) for column in columns if column.name in twice)
        raise ReadError(
            f"two columns or scores are called {twice[0]!r} (see {', '.join(files)}); give each its"
            " own name"
        )
