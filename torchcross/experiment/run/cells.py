"""The cells of a table, and the parts of a run that they are made with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torchcross.experiment.data_formats import Collection
from torchcross.experiment.rows.methods import rows_of_experiment
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
            for algorithm in rows_of_experiment(self.experiment):
                for seed in self.experiment.seeds:
                    yield Cell(target, algorithm, seed)

    def own_values(self, cell: Cell) -> dict[str, Any]:
        """The settings that the cell's row has of its own."""
        return row_values(self.experiment, cell.algorithm, cell.target)

    def experiment_of(self, cell: Cell) -> Experiment:
        """The experiment with the settings that the cell's row has of its own."""
        return experiment_with(self.experiment, self.own_values(cell), cell.algorithm)

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
