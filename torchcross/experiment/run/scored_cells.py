"""The cells of a table in its order: targets, then algorithms, seeds and numbers of shots."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

from torchcross.experiment.rows.methods import rows_of_values
from torchcross.experiment.rows.row_shots import shots_of_row
from torchcross.experiment.run.run_files import cell_name


class ScoredCell(NamedTuple):
    """One target, algorithm, training seed and number of shots: what has a file of rows."""

    target: str
    algorithm: str
    seed: int
    shots: int

    @property
    def name(self) -> str:
        """The name, without its ending, of its files."""
        return cell_name(self.algorithm, self.seed, self.shots, self.target)


def scored_cells(experiment: Mapping[str, Any], targets: Iterable[str]) -> Iterator[ScoredCell]:
    """All cells of an experiment, given as plain values."""
    for target, algorithm, seed in product(
        targets, rows_of_values(experiment), experiment["seeds"]
    ):
        for shots in shots_of_row(algorithm, experiment["shots"]):
            yield ScoredCell(target, algorithm, seed, shots)
