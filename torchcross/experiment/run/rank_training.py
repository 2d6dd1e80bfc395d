"""One training of a run over several ranks: which ones, and what each of them does.

Ranks are processes that this one starts (`machine.ranks`), or those that a launcher such as
torchrun started together: then the first one makes the run, and the others follow its trainings.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, final

from torchcross._kit.plugin_files import load_plugins
from torchcross.errors import InputError
from torchcross.experiment.device import device_type, machine_of, own_threads
from torchcross.experiment.rows.training_setup import TrainingSetup
from torchcross.experiment.run.cells import Cell, WorkContext
from torchcross.experiment.run.earlier_presets import as_begun
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.run.training import PlannedTraining, fit_here
from torchcross.experiment.run.training_files import WEIGHTS
from torchcross.experiment.settings.plain import digest
from torchcross.experiment.settings.row_settings import experiment_of_row
from torchcross.experiment.settings.schema import Experiment
from torchcross.jobs.engines.local import usable_cores
from torchcross.training import FitResult, Tracker, run_on_ranks
from torchcross.training.agreement import raise_failure, together
from torchcross.training.ranks import usable_ranks
from torchcross.training.trained_weights import load_trained
from torchcross.training.world import World


def fit_over_ranks(
    planned: PlannedTraining, setup: TrainingSetup, context: WorkContext, folder: Path
) -> FitResult:
    """In this process, or in as many new ones as `machine.ranks` says and can share a step."""
    settings = planned.experiment.machine
    ranks = usable_ranks(setup.options, settings.ranks)
    run = context.folder.path
    if ranks == 1:
        trackers = planned.trackers(run)
        return fit_here(setup, folder, context.machine, context.progress, trackers)
    result = run_on_ranks(
        _fit_as_rank,
        planned.experiment,
        planned.cell,
        str(folder),
        str(run),
        context.progress,
        ranks=ranks,
        threads=settings.threads or max(1, usable_cores() // ranks),
        device=device_type(settings),
    )
    setup.learner.to(context.machine.device)
    load_trained(setup.learner, folder / WEIGHTS)
    return result


def _fit_as_rank(
    experiment: Experiment, cell: Cell, folder: str, run: str, progress: bool | None
) -> FitResult:
    """In a new process: the training of a cell, whose row's own settings the experiment has."""
    trackers: list[Tracker] = []
    load_plugins(experiment.plugins)
    machine = machine_of(experiment.machine)
    with together(machine):
        collection, _ = open_targets(experiment.data)
        planned = PlannedTraining.over(collection, experiment, cell, Path(folder))
        setup = planned.setup()
        if machine.rank == 0:
            trackers = planned.trackers(Path(run))
    return fit_here(setup, Path(folder), machine, progress, trackers)


# -- ranks that a launcher started -----------------------------------------------------------------


@final
class LedTrainings:
    """Trainings of the first rank, which the others follow."""

    def __init__(self, world: World) -> None:
        self._world = world

    def fit_over(
        self, planned: PlannedTraining, setup: TrainingSetup, context: WorkContext, folder: Path
    ) -> FitResult:
        """Over as many of the ranks as can share a step."""
        ranks = usable_ranks(setup.options, self._world.ranks)
        cell, settings = planned.cell, planned.experiment.machine
        training = {
            "cell": [cell.target, cell.algorithm, cell.seed],
            "folder": str(folder.absolute()),
            "ranks": ranks,
            "experiment": digest(planned.experiment),
        }
        self._world.announce(json.dumps(training))
        machine = self._world.machine(device_type(settings), settings.precision, ranks)
        assert machine is not None, "the first rank is one of them"
        # The others set up now what is set up here already.
        raise_failure(machine, None)
        trackers = planned.trackers(context.folder.path)
        return fit_here(setup, folder, machine, context.progress, trackers)


def of_world(experiment: Experiment, world: World | None) -> Experiment:
    """The experiment over the ranks that were launched, whatever number its settings say."""
    if world is None:
        return experiment
    return replace(experiment, machine=replace(experiment.machine, ranks=world.ranks))


def follow_run(experiment: Experiment, out: str | Path, world: World) -> None:
    """On the other ranks: train what the first one trains, until it ends."""

    def follow(piece: str) -> None:
        training: dict[str, Any] = json.loads(piece)
        settings = experiment.machine
        machine = world.machine(device_type(settings), settings.precision, training["ranks"])
        if machine is None:
            return
        folder = Path(training["folder"])
        with together(machine):
            setup = _planned_alike(experiment, Path(out), world, training).setup()
        with own_threads(settings):
            fit_here(setup, folder, machine, progress=False)

    world.follow(follow)


def _planned_alike(
    experiment: Experiment, out: Path, world: World, training: dict[str, Any]
) -> PlannedTraining:
    """The training that the first rank has begun; refused where this rank knows another one."""
    cell = Cell(*training["cell"])
    begun = of_world(as_begun(experiment, out, lambda line: None), world)
    begun = replace(begun, engine={})
    own = experiment_of_row(begun, cell.algorithm, cell.target)
    if digest(own) != training["experiment"]:
        raise InputError(
            "the ranks have different settings; give all of them the same experiment and the same"
            " version of the library"
        )
    collection, _ = open_targets(own.data)
    return PlannedTraining.over(collection, own, cell, Path(training["folder"]))
