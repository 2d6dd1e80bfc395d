"""Cells run one after the other: where one fails, its reason is kept and the others go on."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from torchcross._kit.lock import FolderLock
from torchcross.errors import TorchcrossError, WriteError
from torchcross.experiment.data_formats import Collection
from torchcross.experiment.rows.row_shots import shots_of_row
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.run_files import RunFiles, cell_name
from torchcross.experiment.settings.row_settings import experiment_with, row_values
from torchcross.experiment.settings.schema import Experiment
from torchcross.training import TorchMachine

Say = Callable[[str], object]


@dataclass(frozen=True)
class Cell:
    """One training, and the target that it is evaluated on."""

    target: str
    algorithm: str
    seed: int

    def __str__(self) -> str:
        return f"{self.algorithm} for {self.target}, training seed {self.seed}"


class WorkFolder(Protocol):
    """What work in cells needs of its folder: that of a run, or of a search."""

    @property
    def path(self) -> Path: ...

    def plain(self, name: str) -> dict[str, Any]: ...

    def training(self, *key: object) -> Path: ...

    def failures(self) -> list[dict[str, str]]: ...

    def write_failures(self, failures: list[dict[str, str]]) -> None: ...


class WorkContext(Protocol):
    """The parts of a run or of a search."""

    @property
    def experiment(self) -> Experiment: ...

    @property
    def collection(self) -> Collection: ...

    @property
    def machine(self) -> TorchMachine: ...

    @property
    def folder(self) -> WorkFolder: ...

    @property
    def say(self) -> Say: ...

    @property
    def progress(self) -> bool | None: ...


@dataclass(frozen=True)
class RunContext:
    """The parts of a run. `say` gets one line of text for each event.

    out  where the files of cells are written: an attempt's folder, or that of the run
    """

    experiment: Experiment
    collection: Collection
    targets: tuple[str, ...]
    machine: TorchMachine
    folder: RunFolder
    say: Say
    progress: bool | None
    out: RunFiles

    def cells(self) -> Iterator[Cell]:
        for target in self.targets:
            for algorithm in self.experiment.algorithms:
                for seed in self.experiment.seeds:
                    yield Cell(target, algorithm, seed)

    def own_values(self, cell: Cell) -> dict[str, Any]:
        """The settings that the cell's row has of its own."""
        return row_values(self.experiment, cell.algorithm, cell.target)

    def experiment_of(self, cell: Cell) -> Experiment:
        """The experiment with the settings that the cell's row has of its own."""
        return experiment_with(self.experiment, self.own_values(cell))

    def shots_of(self, cell: Cell) -> tuple[int, ...]:
        """The numbers of shots that the cell's row can have rows at."""
        return shots_of_row(cell.algorithm, self.experiment.shots)

    def missing_shots(self, cell: Cell) -> list[int]:
        """Those that have no rows yet."""
        shots, files = self.shots_of(cell), self.folder.files
        return [count for count in shots if not files.rows(self.cell_name(cell, count)).is_file()]

    def has_rows(self, target: str) -> bool:
        """Whether any cell of the target is done."""
        cells = (cell for cell in self.cells() if cell.target == target)
        return any(len(self.missing_shots(cell)) < len(self.shots_of(cell)) for cell in cells)

    def cell_name(self, cell: Cell, shots: int) -> str:
        """The name of the files of a cell at one number of shots."""
        return cell_name(cell.algorithm, cell.seed, shots, cell.target)


def run_all(
    cells: Sequence[Cell],
    run: Callable[[Cell], None],
    folder: WorkFolder,
    say: Say,
    lock: FolderLock,
) -> list[dict[str, str]]:
    """Run every cell, and return what failed: it is in `failures.json` as soon as it is known.

    Failures of an earlier call stay until their cells are tried again, so that they outlive a
    process that is killed.
    """
    failed = {
        Cell(each["target"], each["algorithm"], int(each["seed"])): each
        for each in folder.failures()
    }
    for cell in cells:
        lock.check()
        failed.pop(cell, None)
        try:
            run(cell)
        except Exception as error:  # noqa: BLE001 - it is reported, and the other cells go on
            failed[cell] = {
                "kind": type(error).__name__,
                "target": cell.target,
                "algorithm": cell.algorithm,
                "seed": str(cell.seed),
                "reason": _reason(error),
            }
            say(f"failed: {cell}: {failed[cell]['reason']}")
        try:
            _write_failures(folder, cells, failed)
        except WriteError as error:
            # A disk that is full now may have room when the last cell is done.
            say(f"failed: {error}")
    return _write_failures(folder, cells, failed)


def _write_failures(
    folder: WorkFolder, cells: Sequence[Cell], failed: Mapping[Cell, dict[str, str]]
) -> list[dict[str, str]]:
    failures = [failed[cell] for cell in cells if cell in failed]
    try:
        folder.write_failures(failures)
    except WriteError as error:
        if not failures:
            raise
        first = failures[0]
        raise WriteError(
            f"{error}; it was to hold: {first['algorithm']} on {first['target']}: {first['reason']}"
        ) from error
    return failures


def _reason(error: Exception) -> str:
    """In words. An error that is not meant for users also says its kind and its place."""
    reason = str(error) or type(error).__name__
    if isinstance(error, TorchcrossError | torch.OutOfMemoryError | OSError | MemoryError):
        return reason
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__}: {reason} (in {place.name},"
        f" {Path(place.filename).name}:{place.lineno})"
    )
