"""From an experiment to rows: the order of work. A result is kept at once, and not redone."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from torchcross._kit.lock import FolderLock, lock_folder
from torchcross._kit.lost_readers import say_quietly
from torchcross.errors import InputError, TorchcrossError
from torchcross.experiment.data_formats import Collection, open_collection
from torchcross.experiment.rows.adaptation import adapter
from torchcross.experiment.rows.device import machine_of
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.run.cells import Cell, RunContext, Say, run_all
from torchcross.experiment.run.checks import check_experiment, check_metric
from torchcross.experiment.run.chosen_settings import check_chosen_settings
from torchcross.experiment.run.damage import set_damaged_cells_aside
from torchcross.experiment.run.earlier_presets import as_begun
from torchcross.experiment.run.episode_files import mend_plans
from torchcross.experiment.run.folder import PROTOCOL, RunFolder, refuse_other_folder
from torchcross.experiment.run.prediction_store import PredictionStore
from torchcross.experiment.run.protocol import Protocol
from torchcross.experiment.run.provenance import update_provenance
from torchcross.experiment.run.scoring import score_episodes, score_test_split
from torchcross.experiment.run.subgroup_files import update_subgroups
from torchcross.experiment.run.training import Learners
from torchcross.experiment.settings.schema import DataSettings, Experiment
from torchcross.training.signals import leave_when_asked


def run_missing_cells(
    experiment: Experiment, out: str | Path, say: Say | None, progress: bool | None
) -> tuple[RunFolder, list[dict[str, str]]]:
    """Do what is not done yet in the folder `out`, and return the folder and what failed."""
    say = say_quietly(say or (lambda line: None))
    experiment = as_begun(experiment, Path(out), say)
    check_experiment(experiment)
    machine = machine_of(experiment.machine)
    collection, targets = open_targets(experiment.data)
    refuse_other_folder(Path(out))
    with lock_folder(Path(out)) as lock, leave_when_asked(say):
        folder = RunFolder.begin(out, experiment)
        run = RunContext(experiment, collection, targets, machine, folder, say, progress)
        return folder, _run_cells(run, lock)


def open_targets(data: DataSettings) -> tuple[Collection, tuple[str, ...]]:
    """The data, and the full names of the targets: those of the settings, or all that there are."""
    collection = open_collection(
        data.format, data.folder, channels=data.channels, leave_out=data.leave_out
    )
    names = tuple(dict.fromkeys(map(collection.target_name, data.targets))) or collection.targets()
    if not names:
        domain = ""
        if data.leave_out == "domain":
            domain = ' or are of one domain, which data.leave_out = "dataset" allows'
        raise InputError(
            f"no dataset of {data.folder} can be left out: none leaves a source behind (there"
            f" is one alone, or all overlap{domain}); add datasets, or"
            " name data.targets for algorithms that learn from no source"
        )
    return collection, names


def _run_cells(run: RunContext, lock: FolderLock) -> list[dict[str, str]]:
    set_damaged_cells_aside(run)
    cells = list(run.cells())
    unfinished = [cell for cell in cells if run.missing_shots(cell)]
    if unfinished:
        _check_metric(run)
        check_chosen_settings(run, dict.fromkeys(cell.target for cell in unfinished))
    update_provenance(run, finished=not unfinished)
    mend_plans(run)
    run.folder.update(run.experiment)
    protocol, learners = Protocol(run), Learners(run)
    if unfinished or not run.folder.plain(PROTOCOL):
        # A protocol that is gone says nothing of any target.
        looked_at = unfinished if run.folder.plain(PROTOCOL) else cells
        protocol.start(dict.fromkeys(cell.target for cell in looked_at))
    update_subgroups(run)
    store = protocol.prediction_store()
    for note in store.notes():
        run.say(f"note: {note}")

    def run_cell(cell: Cell) -> None:
        if shots := run.missing_shots(cell):
            _run(cell, shots, run, protocol, learners, store)

    return run_all(cells, run_cell, run.folder, run.say, lock)


def _check_metric(run: RunContext) -> None:
    types = {}
    for target in run.targets:
        # What cannot be read is an error of the cells that need it.
        with suppress(TorchcrossError, OSError):
            types[target] = run.collection.target(target).task.target
    if types:
        check_metric(run.experiment.evaluation.metric, types)


def _run(
    cell: Cell,
    shots: list[int],
    run: RunContext,
    protocol: Protocol,
    learners: Learners,
    store: PredictionStore,
) -> None:
    """Train one cell, and score it."""
    method = METHODS[cell.algorithm]
    if method.supervised:
        score_test_split(run, cell, learners.learner(cell, method, run.own_values(cell)), store)
        return
    protocol.require(cell.target)
    trained = learners.learner(cell, method, run.own_values(cell))
    algorithm = adapter(method, trained.learner, run.experiment_of(cell))
    # The target's images are opened here and not before: training cannot have seen any of them.
    target = protocol.episodes_of(cell.target)
    curve = target.sampler.curve(run.experiment.shots)
    for count in shots:
        score_episodes(run, cell, algorithm, target, curve.at(count), trained.training, store)
