"""Before a run goes on: damaged cells are named, and set aside so that they are made again."""

from __future__ import annotations

from collections.abc import Iterator

from torchcross._kit.counts import count_text
from torchcross.errors import InputError, ReadError
from torchcross.experiment.run.cells import Cell, RunContext
from torchcross.experiment.run.examples import check_example, read_example
from torchcross.experiment.run.scored_rows import read_scored
from torchcross.experiment.run.stored_predictions import read_cell_predictions


def set_damaged_cells_aside(run: RunContext) -> None:
    """Rename the files of cells in which one of them is not what was written."""
    for cell in run.cells():
        for shots in run.experiment.shots:
            rows = run.rows_file(cell, shots)
            for problem in _problems(run, cell, rows.stem):
                run.folder.set_aside(rows)
                run.say(
                    f"damaged: {cell}, {count_text(shots, 'shots')}, is made again: {problem}"
                    " The files are kept under names that end in .damaged"
                )
                break


def _problems(run: RunContext, cell: Cell, name: str) -> Iterator[str]:
    rows, example = run.folder.path / "rows" / f"{name}.csv", run.folder.example_file(name)
    try:
        if rows.is_file():
            run.folder.rows(rows)
            if example.is_file():
                content = read_example(example, hashed=run.folder.has_hashes)
                check_example(content, target=cell.target, algorithm=cell.algorithm)
            episodes = run.folder.episodes_file(name)
            # Who wants no predictions may have removed them.
            if run.experiment.evaluation.predictions and episodes.is_file():
                scored = read_scored(episodes, hashed=run.folder.has_hashes)
                read_cell_predictions(run.folder, name, scored)
    except (InputError, ReadError) as error:
        yield f"{error}."
