"""The trained learners of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from torchcross.algorithms import Algorithm
from torchcross.data import TaskSource
from torchcross.errors import InputError, SourceError
from torchcross.experiment.data_formats import Collection
from torchcross.experiment.rows.adaptation import renew_running_statistics
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.starting_networks import starting_network
from torchcross.experiment.rows.trackers import trackers_of
from torchcross.experiment.rows.training_setup import TrainingSetup, training_setup
from torchcross.experiment.run.cells import Cell, WorkContext
from torchcross.experiment.run.training_files import WEIGHTS, write_summary
from torchcross.experiment.settings.plain import digest
from torchcross.experiment.settings.row_settings import experiment_with
from torchcross.experiment.settings.schema import Experiment
from torchcross.training import FitResult, TorchMachine, Tracker, fit
from torchcross.training.trained_weights import load_trained

Sources = Sequence[TaskSource]
Fingerprints = list[list[str]]
"""The name of each source, and the fingerprint of its labels."""


@dataclass(frozen=True)
class TrainedLearner:
    """A learner, and the name of its training in the folder `train`; None without a training."""

    learner: Any
    training: str | None


@dataclass(frozen=True)
class PlannedTraining:
    """The training of a cell; targets that leave the same sources share one.

    experiment  with the settings that the row has of its own
    folder      where it belongs: train/<row>-<digest>
    """

    cell: Cell
    experiment: Experiment
    train: Sources
    val: Sources
    folder: Path

    @classmethod
    def of(cls, run: WorkContext, cell: Cell, own: Mapping[str, Any]) -> PlannedTraining:
        """`own` are the settings that the row has of its own."""
        train, val = sources_of(run.collection, run.experiment, cell)
        folder = training_folder(run, cell, fingerprints_of(train), own)
        return cls(cell, experiment_with(run.experiment, own, cell.algorithm), train, val, folder)

    @classmethod
    def over(
        cls, collection: Collection, experiment: Experiment, cell: Cell, folder: Path
    ) -> PlannedTraining:
        """The same in another process, which knows the row's settings and the attempt's folder."""
        return cls(cell, experiment, *sources_of(collection, experiment, cell), folder)

    def trackers(self, run: Path) -> list[Tracker]:
        """Those of this training, in the folder of the run."""
        return trackers_of(self.experiment, self.folder.name, run)

    def setup(self) -> TrainingSetup:
        method = METHODS[self.cell.algorithm]
        return training_setup(method, self.experiment, self.cell.seed, self.train, self.val)

    def run(self, context: WorkContext, folder: Path, fit_over: FitOver) -> TrainedLearner:
        """Train in a folder, or go on there; its last file is the summary."""
        cell, setup = self.cell, self.setup()
        sources = _count_of(setup.learned, self.train)
        context.say(f"training {cell.algorithm} on {sources}, seed {cell.seed}")
        result = fit_over(self, setup, context, folder)
        summary = {
            "algorithm": cell.algorithm,
            "seed": cell.seed,
            "target": cell.target,
            "steps": result.steps,
            "best_step": result.best_step,
            "best_score": result.best_score,
            "stopped": result.stopped,
            "sources": list(setup.learned),
            "left_out": list(setup.left_out),
            "unjudged": list(setup.unjudged),
        }
        if result.ranks != (1,):
            summary["ranks"] = list(result.ranks)
        write_summary(folder, summary)
        return self._ready(setup)

    def load(self, context: WorkContext) -> TrainedLearner:
        """The learner of a training that is done."""
        setup = self.setup()
        setup.learner.to(context.machine.device)
        load_trained(setup.learner, self.folder / WEIGHTS)
        return self._ready(setup)

    def _ready(self, setup: TrainingSetup) -> TrainedLearner:
        if setup.renewal is not None and isinstance(setup.learner, Algorithm):
            method = METHODS[self.cell.algorithm]
            renew_running_statistics(method, setup.learner, self.experiment, setup.renewal)
        return TrainedLearner(setup.learner, self.folder.name)


FitOver = Callable[[PlannedTraining, TrainingSetup, WorkContext, Path], FitResult]
"""Fits the learner of a setup in a folder: in this process, or over ranks."""


def fit_here(
    setup: TrainingSetup,
    folder: Path,
    machine: TorchMachine,
    progress: bool | None,
    track: Sequence[Tracker] = (),
) -> FitResult:
    """In this process, which may be a rank."""
    return fit(
        setup.learner,
        setup.data,
        setup.options,
        folder=folder,
        validate=setup.validate,
        machine=machine,
        progress=progress,
        track=track,
    )


@final
class Learners:
    """The learner of a cell; only the last one stays in memory.

    get  how the learner of a training comes about, where it is not that one
    """

    def __init__(self, run: WorkContext, get: Callable[[PlannedTraining], TrainedLearner]) -> None:
        self._run, self._get = run, get
        self._last: dict[str, TrainedLearner] = {}

    def learner(self, cell: Cell, own: Mapping[str, Any]) -> TrainedLearner:
        """`own` are the settings that the row has of its own."""
        method = METHODS[cell.algorithm]
        if not method.trains:
            own_experiment = experiment_with(self._run.experiment, own, cell.algorithm)
            net = starting_network(method, own_experiment, cell.seed)
            return TrainedLearner(net.to(self._run.machine.device), None)
        planned = PlannedTraining.of(self._run, cell, own)
        kept = _kept_name(planned)
        if kept not in self._last:
            self.keep(planned, self._get(planned))
        return self._last[kept]

    def keep(self, planned: PlannedTraining, trained: TrainedLearner) -> None:
        """Keep a learner, and forget the one before."""
        self._last = {_kept_name(planned): trained}


def _kept_name(planned: PlannedTraining) -> str:
    """What is kept in memory also has running statistics, which the policy may ask for."""
    return digest([planned.folder.name, planned.experiment.evaluation.norm])


def sources_of(
    collection: Collection, experiment: Experiment, cell: Cell
) -> tuple[Sources, Sources]:
    """What a row learns from where a target is left out, and what judges it."""
    target, tasks = cell.target, experiment.data.source_tasks
    if METHODS[cell.algorithm].supervised:
        judges: Sources = ()
        # Without a validation split all steps are done, and the report says so.
        with suppress(SourceError):
            judges = (collection.target(target, split="val"),)
        return (collection.target(target, split="train"),), judges
    train = collection.sources(target, split="train", tasks=tasks)
    if not train:
        reasons = dict(collection.why(target))
        raise InputError(f"no source is left for {target!r}; {reasons}")
    return train, collection.sources(target, split="val", tasks=tasks)


def search_key(run: WorkContext, target: str, score: str) -> str:
    """The same for targets with the same sources: what is chosen on these is chosen for both.

    `score` is the setting `tune.score`: trials that are scored on a target are for it alone.
    """
    cell = Cell(target, run.experiment.algorithms[0], seed=0)
    train, val = sources_of(run.collection, run.experiment, cell)
    parts = [fingerprints_of(train), fingerprints_of(val)]
    return digest([parts, target] if score == "target-queries" else parts)


def fingerprints_of(sources: Sources) -> Fingerprints:
    return [[source.name, source.fingerprint()] for source in sources]


def training_folder(
    run: WorkContext, cell: Cell, train: Fingerprints, own: Mapping[str, Any]
) -> Path:
    """The folder of a cell's training: the same for cells that share one."""
    parts: list[Any] = [cell.algorithm, cell.seed, train]
    if of_training := settings_of_training(own):
        parts.append(of_training)
    return run.folder.training(cell.algorithm, f"seed {cell.seed}", digest(parts))


_OF_ADAPTATION = ("evaluation.", "fine_tuning.")


def settings_of_training(own: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a row that decide its training."""
    return {name: own[name] for name in own if not name.startswith(_OF_ADAPTATION)}


def _count_of(learned: Sequence[str], train: Sources) -> str:
    of = "" if len(learned) == len(train) else f" of {len(train)}"
    return f"{len(learned)}{of} {'source' if len(train) == 1 else 'sources'}"
