"""When and where a run was made, and how long each row took, beside what it computed.

Two runs of the same experiment differ here and nowhere else, so a page has it only on request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime  # noqa: TID251 (reads dates, and asks no clock)
from math import nan
from typing import Any, Final

from torchcross._kit.counts import count_text
from torchcross.experiment.run.environment import DATE, RunTimes, read_times
from torchcross.experiment.run.folder import PROTOCOL, RunFolder
from torchcross.experiment.run.scored_cells import scored_cells
from torchcross.experiment.run.time_left import duration_text
from torchcross.records import ALL_SHOTS, Records
from torchcross.report import PageTable
from torchcross.report.html import TableCell, TableColumn

_NAMES: Final = ("training time", "scoring time", "together", "scoring, per episode")
_LEGEND: Final = (
    "A row is trained, and each of its cells is scored. The times are those of the last attempt;"
    " {known} of {all} cells have a scoring time. Times are added, even if trainings or cells ran"
    " side by side. Times differ between machines, so a page has this section only on request."
)
_FEW_SECONDS: Final = 90


def environment_block(
    run: RunFolder, records: Records, shown: Mapping[str, str]
) -> Iterator[PageTable]:
    """The section, where the times of any part are known.

    `shown` is the name of each algorithm on the page, and that in `records`.
    """
    known = read_times(run)
    if not (known.cells or known.trainings):
        return
    names = _cells_of_rows(run)
    of_all = [name for cells in names.values() for name in cells]
    legend = _LEGEND.format(known=sum(name in known.cells for name in of_all), all=len(of_all))
    columns = [TableColumn("row"), *(TableColumn(name, is_number=True) for name in _NAMES)]
    rows: list[list[TableCell | str]] = [
        [shown[algorithm], *_time_cells(run, known, algorithm, cells, records, shown[algorithm])]
        for algorithm, cells in names.items()
    ]
    yield PageTable(
        identifier="environment",
        title="When, where, how long",
        caption="Time by row",
        texts=[*_when(known), *_where(known), legend],
        columns=columns,
        rows=rows,
    )


def _when(known: RunTimes) -> Iterator[str]:
    ended = _date_of(known.ended)
    if ended is None:
        return
    began = _date_of(known.began)
    if began is None:
        yield f"The last part of the run ended on {_date_text(ended)}; when it began is not known."
        return
    seconds = max((ended - began).total_seconds(), 1)
    yield (
        f"The first part of the run began on {_date_text(began)}, and the last one ended on"
        f" {_date_text(ended)}: {duration_text(seconds)}, with the pauses between calls."
    )


def _where(known: RunTimes) -> Iterator[str]:
    if known.machines:
        listed = "; ".join(map(_machine_text, known.machines))
        yield f"Hardware: {listed}."


def _date_of(text: str) -> datetime | None:
    with suppress(ValueError):
        return datetime.strptime(text, DATE)
    return None


def _date_text(date: datetime) -> str:
    return f"{date:%Y-%m-%d at %H:%M} UTC"


def _machine_text(machine: Mapping[str, Any]) -> str:
    parts = [str(machine.get("system")), str(machine.get("processor") or "")]
    if isinstance(cores := machine.get("cores"), int):
        parts.append(count_text(cores, "cores"))
    if (gpu := machine.get("gpu", "none")) != "none":
        parts.append(str(gpu))
    return ", ".join(filter(None, parts))


# -- the table -------------------------------------------------------------------------------------


def _cells_of_rows(run: RunFolder) -> dict[str, list[str]]:
    """The names of the cells of each row of the table."""
    plain, targets = run.experiment, run.plain(PROTOCOL).get("targets", {})
    names: dict[str, list[str]] = {algorithm: [] for algorithm in run.algorithms}
    for cell in scored_cells(plain, targets):
        names[cell.algorithm].append(cell.name)
    return names


def _time_cells(
    run: RunFolder,
    known: RunTimes,
    algorithm: str,
    cells: list[str],
    records: Records,
    shown: str,
) -> Iterator[TableCell]:
    by_cell = known.cell_seconds()
    training = _training_seconds(run, known, algorithm)
    scoring = _total([by_cell[name] for name in cells if name in by_cell])
    yield _time_cell(training)
    yield _time_cell(scoring)
    yield _time_cell(_total([each for each in (training, scoring) if each is not None]))
    count = _episodes(records, shown)
    is_whole = scoring is not None and all(name in by_cell for name in cells)
    yield _time_cell(scoring / count if is_whole and scoring is not None and count else None, 3)


def _training_seconds(run: RunFolder, known: RunTimes, algorithm: str) -> float | None:
    """Of all trainings of a row; None where none is known."""
    return _total(
        [
            value
            for name, value in known.training_seconds().items()
            if run.plain(f"train/{name}/training.json").get("algorithm") == algorithm
        ]
    )


def _total(seconds: list[float]) -> float | None:
    return sum(seconds) if seconds else None


def _episodes(records: Records, algorithm: str) -> int:
    """How many episodes the row was scored on; 0 where it has rows over a whole test split too."""
    columns = records.where(algorithm=algorithm).columns
    names = ("target", "shots", "seed", "episode")
    episodes = set(zip(*(columns[name].tolist() for name in names), strict=True))
    return 0 if any(shots == ALL_SHOTS for _, shots, _, _ in episodes) else len(episodes)


def _time_cell(seconds: float | None, digits: int = 1) -> TableCell:
    if seconds is None:
        return TableCell("—", nan)
    if seconds < _FEW_SECONDS:
        return TableCell(f"{seconds:.{digits}f} s", seconds)
    return TableCell(f"{duration_text(seconds)} ({seconds:,.0f} s)", seconds)
