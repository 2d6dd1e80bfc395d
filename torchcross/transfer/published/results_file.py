"""A table of published results: a value for each source and target, or for each fold and seed."""

from __future__ import annotations

import math
from pathlib import Path

from torchcross.errors import ReadError
from torchcross.transfer.results import SETUPS, StudyCell, StudyResults
from torchcross.transfer.table_files import (
    TableFile,
    check_spellings,
    number_in,
    read_table_file,
    required_name,
    whole_number_in,
)

KEYS = ("source", "target", "fold", "seed")


def read_results(path: str | Path) -> tuple[StudyResults, str]:
    """(the results, the name of their column: "value" or a metric).

    The columns are source, target, where there are any fold and seed, and one of values. Or the
    first one is called source, and the others are targets: a matrix. A blank value is missing.
    """
    table = read_table_file(Path(path))
    if table.header[0] == "source" and "target" not in table.header:
        return _of_matrix(table), "value"
    if lost := [name for name in ("source", "target") if name not in table.header]:
        raise ReadError(
            f"{path} has the columns {list(table.header)} and none called {lost[0]!r}; give source,"
            " target, fold and seed where there are any, and one column of values"
        )
    values = [name for name in table.header if name not in KEYS]
    if len(values) != 1:
        raise ReadError(
            f"{path} has {len(values)} columns of values, {values}; give one, beside {list(KEYS)}"
        )
    return _of_cells(table, values[0]), values[0]


def setups_in(path: str | Path) -> tuple[str, ...]:
    """What the values of a table are numbered by: "fold", "seed", both or neither."""
    header = read_table_file(Path(path)).header
    return tuple(name for name in SETUPS if "target" in header and name in header)


def _of_cells(table: TableFile, values: str) -> StudyResults:
    columns = {name: list(table.column(name)) for name in table.header}
    cells: dict[tuple[str, str, int, int], float] = {}
    for row, (place, text) in enumerate(columns[values]):
        source, target = (
            required_name(place, name, columns[name][row][1]) for name in ("source", "target")
        )
        fold, seed = (
            whole_number_in(place, name, columns[name][row][1]) if name in columns else 0
            for name in ("fold", "seed")
        )
        key = source, target, fold, seed
        if key in cells:
            words = f"{source!r} -> {target!r}"
            words += "".join(
                f", {name} {number}"
                for name, number in (("fold", fold), ("seed", seed))
                if name in columns
            )
            raise ReadError(
                f"{place}: {words} stands twice; give it once, or number folds and seeds in columns"
                " fold and seed"
            )
        cells[key] = number_in(place, text)
    return _results(table, [StudyCell(*key, value) for key, value in cells.items()])


def _of_matrix(table: TableFile) -> StudyResults:
    cells: list[StudyCell] = []
    for place, (first, *numbers) in table.rows:
        source = required_name(place, "source", first)
        if any(cell.source == source for cell in cells):
            raise ReadError(f"{place}: the source {source!r} stands twice; give it once")
        cells += [
            StudyCell(source, target, 0, 0, number_in(place, text))
            for target, text in zip(table.header[1:], numbers, strict=True)
        ]
    if not cells:
        raise ReadError(f"{table.path} has no target; give a column for each")
    return _results(table, cells)


def _results(table: TableFile, cells: list[StudyCell]) -> StudyResults:
    results = StudyResults.of_cells(cells)
    check_spellings(table.path, "sources", results.sources)
    check_spellings(table.path, "targets", results.targets)
    check_spellings(table.path, "names", (*results.sources, *results.targets))
    if all(math.isnan(cell.value) for cell in cells):
        raise ReadError(f"{table.path} has no value; all its cells are blank")
    return results
