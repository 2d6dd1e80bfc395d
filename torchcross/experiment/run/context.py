"""What every part of a run needs: the experiment, its data, its folder, and where it reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from torchcross.experiment.data_formats import Collection
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.settings.schema import Experiment
from torchcross.training import TorchMachine

__all__ = ["Cell", "RunContext", "Say"]

Say = Callable[[str], object]


@dataclass(frozen=True)
class Cell:
    """One training, and the target that it is evaluated on."""

    target: str
    algorithm: str
    seed: int

    def __str__(self) -> str:
        return f"{self.algorithm} for {self.target}, training seed {self.seed}"


@dataclass(frozen=True)
class RunContext:
    """`say` gets one line of text for each event; `progress`: whether bars are shown, None: on a
    terminal.
    """

    experiment: Experiment
    collection: Collection
    targets: tuple[str, ...]
    machine: TorchMachine
    folder: RunFolder
    say: Say
    progress: bool | None

    def cells(self) -> Iterator[Cell]:
        for target in self.targets:
            for algorithm in self.experiment.algorithms:
                for seed in self.experiment.seeds:
                    yield Cell(target, algorithm, seed)

    def missing_shots(self, cell: Cell) -> list[int]:
        """The numbers of shots that have no rows yet."""
        shots = self.experiment.shots
        return [count for count in shots if not self.rows_file(cell, count).is_file()]

    def rows_file(self, cell: Cell, shots: int) -> Path:
        return self.folder.rows_file(
            cell.algorithm, f"seed {cell.seed}", f"{shots} shots", cell.target
        )
