"""Reading the predictions that a run stored, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from torchcross.errors import DamageError, InputError
from torchcross.experiment.run.folder import PROTOCOL, RunFolder
from torchcross.experiment.run.scored_rows import read_scored
from torchcross.experiment.run.stored_shots import as_scored, stored_shots
from torchcross.records import Predictions
from torchcross.records.prediction_files import read_hashed_predictions
from torchcross.records.shots import shots_number, shots_word

PREDICTIONS = "predictions"
"""Field of a file of `episodes/`: how many predictions its cell stored; absent where it did not."""

_ADVICE = "run the same again to make it again"
_CELL = ("target", "algorithm", "shots", "seed")


def run_predictions(
    folder: str | Path,
    *,
    target: str | None = None,
    algorithm: str | None = None,
    shots: int | Literal["all"] | None = None,
    seed: int | None = None,
) -> Iterator[Predictions]:
    """The predictions that a run stored, one cell at a time, in the experiment's order.

    Give `target`, `algorithm`, `shots` or `seed` for only those cells. Only one cell is in memory.
    """
    run = RunFolder(folder)
    cells = cells_with_predictions(run)
    if not cells:
        raise InputError(
            f"{run.path} has no stored predictions; run the same experiment in a new folder, with"
            " evaluation.predictions at least the number of its predictions"
        )
    cells = [(name, as_scored(stored)) for name, stored in cells]
    number = shots_number(shots)
    wanted: dict[str, Any] = {"target": target, "algorithm": algorithm, "shots": number}
    wanted["seed"] = seed
    for name, value in wanted.items():
        known = dict.fromkeys(scored[name] for _, scored in cells)
        if value is not None and value not in known:
            if name == "shots":
                value, known = shots_word(value), dict.fromkeys(map(shots_word, known))
            raise InputError(
                f"{run.path} has no predictions of {name}={value!r}; it has {[*known]}"
            )
    cells = [
        (name, scored)
        for name, scored in cells
        if all(value in (None, scored[field]) for field, value in wanted.items())
    ]
    return (_read(run, name, scored) for name, scored in cells)


def _read(run: RunFolder, name: str, scored: Mapping[str, Any]) -> Predictions:
    stored = {**scored, "shots": stored_shots(scored["shots"])}
    predictions = read_cell_predictions(run, name, stored)
    assert predictions is not None, "the cell has predictions"
    return predictions.with_shots(scored["shots"])


def read_cell_predictions(
    run: RunFolder, name: str, scored: Mapping[str, Any]
) -> Predictions | None:
    """The predictions of the cell `name`, whose file in `episodes/` says `scored`.

    None where the cell stored none; a DamageError where the file is gone or is not that cell's.
    """
    if PREDICTIONS not in scored:
        return None
    path = run.files.predictions(name)
    if not path.is_file():
        raise DamageError(f"{path} is gone; {_ADVICE}")
    predictions, _ = read_hashed_predictions(path, hashed=run.has_hashes, advice=_ADVICE)
    contents = {
        "target": predictions.source,
        "algorithm": predictions.algorithm,
        "shots": predictions.shots,
        "seed": predictions.seed,
        PREDICTIONS: predictions.rows,
    }
    for field, value in contents.items():
        if scored.get(field) != value:
            raise DamageError(
                f"{path} is not that of its cell: {field} {value!r}, and the cell's file in"
                f" episodes/ says {scored.get(field)!r}; {_ADVICE}"
            )
    return predictions


def cells_with_predictions(run: RunFolder) -> list[tuple[str, dict[str, Any]]]:
    """(name of a cell, what its file in `episodes/` says), in the experiment's order."""
    cells = []
    for rows in sorted((run.path / "rows").glob("*.csv")):
        if run.files.episodes(rows.stem).is_file():
            scored = read_scored(run.files.episodes(rows.stem), hashed=run.has_hashes)
            if scored.keys() >= {PREDICTIONS, *_CELL}:
                cells.append((rows.stem, scored))
    orders = {
        "target": run.plain(PROTOCOL).get("order of targets", []),
        "algorithm": run.algorithms,
    }

    def place(cell: tuple[str, Mapping[str, Any]]) -> tuple[int, ...]:
        _, scored = cell
        places = []
        for name, order in orders.items():
            is_there = scored[name] in order
            places.append(order.index(scored[name]) if is_there else len(order))
        return (*places, as_scored(scored)["shots"], scored["seed"])

    return sorted(cells, key=place)
