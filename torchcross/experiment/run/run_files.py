"""Where the files of a run are: in its folder, or in that of an attempt to make them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torchcross.experiment.run.file_names import file_name
from torchcross.experiment.run.stored_shots import stored_shots

CELL_PARTS = ("rows", "episodes", "examples", "predictions")
"""The folders of the files of a cell."""


def cell_name(algorithm: str, seed: int, shots: int, target: str) -> str:
    """The name, without its ending, of the files of one algorithm, seed, target and shots."""
    return file_name((algorithm, f"seed {seed}", f"{stored_shots(shots)} shots", target))


@dataclass(frozen=True)
class RunFiles:
    """The paths of a run's files below a folder; `name` is that of a cell."""

    path: Path

    def rows(self, name: str) -> Path:
        return self.path / "rows" / f"{name}.csv"

    def episodes(self, name: str) -> Path:
        """Which episodes the rows of this name are of."""
        return self.path / "episodes" / f"{name}.json"

    def example(self, name: str) -> Path:
        return self.path / "examples" / f"{name}.npz"

    def predictions(self, name: str) -> Path:
        return self.path / "predictions" / f"{name}.safetensors"

    def of_cell(self, name: str) -> tuple[Path, ...]:
        """All files of a cell; the rows come last."""
        return (self.example(name), self.predictions(name), self.episodes(name), self.rows(name))

    def plans(self, target: str, shots: int) -> Path:
        """Which images the episodes of a target drew."""
        return self.path / "episodes" / f"{file_name(('plans', f'{shots} shots', target))}.npz"

    def subgroups(self, target: str) -> Path:
        return self.path / "subgroups" / f"{file_name((target, 'subgroups'))}.json"

    def training(self, *key: object) -> Path:
        return self.path / "train" / file_name(key)
