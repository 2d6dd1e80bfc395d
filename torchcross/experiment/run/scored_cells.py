"""The cells of a table in its order: targets, then algorithms, seeds and numbers of shots."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

from torchcross.experiment.rows.methods import METHODS, rows_of_values
from torchcross.experiment.rows.row_shots import shots_of_row
from torchcross.experiment.run.run_files import cell_name
from torchcross.experiment.settings.row_names import algorithm_of
from torchcross.records import ALL_SHOTS
from torchcross.records.shots import ALL


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


def scored_cells(
    experiment: Mapping[str, Any],
    targets: Iterable[str],
    is_there: Callable[[str], bool] | None = None,
) -> Iterator[ScoredCell]:
    """All cells of an experiment, given as plain values.

    Of a row whose code is not loaded, cells at 0 shots and at all labels are those whose names
    `is_there` says yes to; without it such a row is an error.
    """
    for target, row, seed in product(targets, rows_of_values(experiment), experiment["seeds"]):
        if is_there is None or algorithm_of(row) in METHODS:
            for shots in shots_of_row(row, experiment["shots"]):
                yield ScoredCell(target, row, seed, shots)
            continue
        names: set[str] = set()
        for shots in (ALL_SHOTS if each == ALL else each for each in experiment["shots"]):
            cell = ScoredCell(target, row, seed, shots)
            # Files of 0 shots and of all labels have one name.
            is_expected = shots not in (0, ALL_SHOTS) or is_there(cell.name)
            if is_expected and cell.name not in names:
                names.add(cell.name)
                yield cell
