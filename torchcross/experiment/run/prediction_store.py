"""Whether a run stores its predictions, and the writing of each cell's file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, final

from torchcross.evaluation import PredictionLog
from torchcross.experiment.run.cells import Cell, RunContext
from torchcross.experiment.run.run_files import RunFiles
from torchcross.experiment.run.scored_rows import read_scored
from torchcross.experiment.run.stored_predictions import PREDICTIONS
from torchcross.experiment.run.stored_shots import stored_shots
from torchcross.records import Predictions


@final
class PredictionStore:
    """Decides once for a whole run: the predictions of all cells are stored, or of none.

    count  how many predictions the whole run makes: one for each query image of each episode, in
           each cell
    """

    def __init__(self, run: RunContext, count: int) -> None:
        self._run = run
        self.count, self.most = count, run.experiment.evaluation.predictions

    @property
    def is_open(self) -> bool:
        return 0 < self.count <= self.most

    @property
    def description(self) -> str:
        """For a protocol."""
        if not self.most:
            return "none are stored: evaluation.predictions is 0"
        counted = f"{self.count:,}, one for each query image of each episode in each cell"
        if self.is_open:
            return f"{counted}, are stored in predictions/"
        return f"none are stored: there are {counted}; evaluation.predictions is {self.most:,}"

    def notes(self) -> Iterator[str]:
        """What a reader of the run's output must know."""
        sets = self._run.experiment.evaluation.sets
        if self.count > self.most and (self.most or sets != "none"):
            wanted = "them" if sets == "none" else f"them, and the sets of evaluation.sets={sets!r}"
            yield (
                f"predictions: {self.description}; to store {wanted}, give"
                f" --set evaluation.predictions={self.count}"
            )
        if self.is_open and (cells := sum(1 for _ in self._cells_without())):
            yield (
                f"predictions: {cells} {'cell has' if cells == 1 else 'cells have'} rows and no"
                " stored predictions; to have them, remove its files of rows/ and run again"
            )

    def log(self, cell: Cell, shots: int, **about: Any) -> PredictionLog | None:
        """What collects the predictions of a cell; None where the run stores none."""
        if not self.is_open:
            return None
        return PredictionLog(cell.algorithm, shots=stored_shots(shots), seed=cell.seed, **about)

    def write(self, name: str, predictions: Predictions | None, out: RunFiles) -> dict[str, int]:
        """Write the file of the cell `name`; return what its file in `episodes/` says of it."""
        path = out.predictions(name)
        if predictions is None:
            # An attempt that goes on may have one of a time when predictions were stored.
            path.unlink(missing_ok=True)
            return {}
        predictions.write(path)
        return {PREDICTIONS: predictions.rows}

    def _cells_without(self) -> Iterator[str]:
        folder = self._run.folder
        for cell in self._run.cells():
            for shots in self._run.shots_of(cell):
                name = self._run.cell_name(cell, shots)
                episodes = folder.files.episodes(name)
                if not (folder.files.rows(name).is_file() and episodes.is_file()):
                    continue
                if PREDICTIONS not in read_scored(episodes, hashed=folder.has_hashes):
                    yield name
