"""Before a run goes on: damaged cells are named, and set aside so that they are made again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torchcross.errors import InputError, ReadError
from torchcross.experiment.run.cells import Cell, RunContext
from torchcross.experiment.run.examples import check_example, read_example
from torchcross.experiment.run.run_units import score_key
from torchcross.experiment.run.scored_rows import read_scored
from torchcross.experiment.run.stored_predictions import read_cell_predictions
from torchcross.experiment.run.training_files import is_whole_training
from torchcross.jobs import JobFolder
from torchcross.records.shots import shots_text


def set_damaged_cells_aside(run: RunContext) -> None:
    """Rename the files of cells in which one of them is not what was written."""
    for cell in run.cells():
        for shots in run.shots_of(cell):
            name = run.cell_name(cell, shots)
            for problem in _problems(run, cell, name):
                run.folder.set_aside(name)
                run.say(
                    f"damaged: {cell}, {shots_text(shots)}, is made again: {problem}"
                    " The files are kept under names that end in .damaged"
                )
                break


def remove_half_made(run: RunContext, jobs: JobFolder, trainings: Mapping[str, str]) -> None:
    """Clear the places of what is to be made: a process of an earlier time was killed there.

    A half-made training becomes an attempt, from which the next one goes on. `trainings` are the
    folders of trainings and the keys of their units. What another process makes now stays.
    """
    for folder, key in trainings.items():
        place = run.folder.path / "train" / folder
        if place.is_dir():
            with jobs.hold(key) as is_ours:
                # It may have been published a moment ago.
                if is_ours and not is_whole_training(place):
                    jobs.attempts.adopt(key, place, f"train/{folder}")
    for cell in run.cells():
        for shots in run.missing_shots(cell):
            name = run.cell_name(cell, shots)
            if any(path.exists() for path in run.folder.files.of_cell(name)):
                _remove_half_made_cell(run, jobs, name)


def _remove_half_made_cell(run: RunContext, jobs: JobFolder, name: str) -> None:
    files = run.folder.files
    with jobs.hold(score_key(name)) as is_ours:
        if is_ours and not files.rows(name).exists():
            for path in files.of_cell(name):
                path.unlink(missing_ok=True)


def _problems(run: RunContext, cell: Cell, name: str) -> Iterator[str]:
    files = run.folder.files
    rows, example = files.rows(name), files.example(name)
    try:
        if rows.is_file():
            run.folder.rows(rows)
            if example.is_file():
                content = read_example(example, hashed=run.folder.has_hashes)
                check_example(content, target=cell.target, algorithm=cell.algorithm)
            episodes = files.episodes(name)
            # Who wants no predictions may have removed them.
            if run.experiment.evaluation.predictions and episodes.is_file():
                scored = read_scored(episodes, hashed=run.folder.has_hashes)
                read_cell_predictions(run.folder, name, scored)
    except (InputError, ReadError) as error:
        yield f"{error}."
