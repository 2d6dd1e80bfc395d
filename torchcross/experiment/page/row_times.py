"""How long each row of a run took, beside what it computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from torchcross.experiment.run.environment import RunTimes, read_times
from torchcross.experiment.run.folder import PROTOCOL, RunFolder
from torchcross.experiment.run.scored_cells import scored_cells
from torchcross.experiment.run.time_left import duration_text
from torchcross.report import PageTable
from torchcross.report.html import TableCell, TableColumn

_LEGEND: Final = (
    "Times of the last attempt at each part, on {machines}; {known} of {all} cells have one."
    " Another machine takes another time, so a page has times only where they are asked for."
)


def with_times(run: RunFolder, table: PageTable, shown: Mapping[str, str]) -> PageTable:
    """The table of what rows computed, with two columns more; without known times, as it is.

    `shown` is the name of each algorithm on the page.
    """
    known = read_times(run)
    if not (known.cells or known.trainings):
        return table
    names = _cells_of_rows(run)
    algorithms = {name: algorithm for algorithm, name in shown.items()}
    columns = [TableColumn(name, is_number=True) for name in ("training time", "scoring time")]
    rows = [
        [*row, *_time_cells(run, known, names, algorithms.get(str(row[0]), ""))]
        for row in table.rows
    ]
    of_all = [name for cells in names.values() for name in cells]
    legend = _LEGEND.format(
        machines="; ".join(map(_machine_text, known.machines)),
        known=sum(name in known.cells for name in of_all),
        all=len(of_all),
    )
    return replace(
        table, columns=[*table.columns, *columns], rows=rows, texts=[*table.texts, legend]
    )


def _cells_of_rows(run: RunFolder) -> dict[str, list[str]]:
    """The names of the cells of each row of the table."""
    plain, targets = run.experiment, run.plain(PROTOCOL).get("targets", {})
    names: dict[str, list[str]] = {algorithm: [] for algorithm in run.algorithms}
    for cell in scored_cells(plain, targets):
        names[cell.algorithm].append(cell.name)
    return names


def _training_seconds(run: RunFolder, known: RunTimes, algorithm: str) -> float | None:
    """Of all trainings of a row; None where none is known."""
    seconds = [
        value
        for name, value in known.training_seconds().items()
        if run.plain(f"train/{name}/training.json").get("algorithm") == algorithm
    ]
    return sum(seconds) if seconds else None


def _time_cells(
    run: RunFolder, known: RunTimes, names: Mapping[str, list[str]], algorithm: str
) -> tuple[TableCell, TableCell]:
    cells = known.cell_seconds()
    seconds = [cells[name] for name in names.get(algorithm, ()) if name in cells]
    scoring = sum(seconds) if seconds else None
    return _time_cell(_training_seconds(run, known, algorithm)), _time_cell(scoring)


def _time_cell(seconds: float | None) -> TableCell:
    if seconds is None:
        return TableCell("—", 0.0)
    return TableCell(duration_text(seconds), seconds)


def _machine_text(machine: Mapping[str, Any]) -> str:
    gpu = machine.get("gpu", "none")
    beside = "" if gpu == "none" else f" and {gpu}"
    return f"{machine.get('system')} with {machine.get('cores')} cores{beside}"
