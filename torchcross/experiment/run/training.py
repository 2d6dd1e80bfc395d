"""The trained learners of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final

from torchcross.algorithms import Algorithm
from torchcross.data import TaskSource
from torchcross.errors import InputError, SourceError
from torchcross.experiment.rows.adaptation import renew_running_statistics
from torchcross.experiment.rows.methods import METHODS, Method, starting_network
from torchcross.experiment.rows.trackers import trackers_of
from torchcross.experiment.rows.training_setup import training_setup
from torchcross.experiment.run.cells import Cell, WorkContext
from torchcross.experiment.run.training_files import write_summary
from torchcross.experiment.settings.plain import digest
from torchcross.experiment.settings.row_settings import experiment_with
from torchcross.experiment.settings.schema import Experiment
from torchcross.training import fit

Sources = Sequence[TaskSource]


@dataclass(frozen=True)
class TrainedLearner:
    """A learner, and the name of its training in the folder `train`; None without a training."""

    learner: Any
    training: str | None


@final
class Learners:
    """The learner of a cell, trained; targets that leave the same sources share one.

    Only the last one stays in memory.
    """

    def __init__(self, run: WorkContext) -> None:
        self._run = run
        self._last: dict[str, TrainedLearner] = {}

    def learner(self, cell: Cell, method: Method, own: Mapping[str, Any]) -> TrainedLearner:
        """`own` are the settings that the row has of its own."""
        if not method.trains:
            net = starting_network(method, self._run.experiment, cell.seed)
            return TrainedLearner(net.to(self._run.machine.device), None)
        train, val = sources_of(self._run, cell.target, method)
        experiment = experiment_with(self._run.experiment, own)
        key = _training_key(cell, train, own)
        # What is kept in memory also has running statistics, which the policy may ask for.
        kept = digest([key, experiment.evaluation.norm])
        if kept not in self._last:
            self._last.clear()
            self._last[kept] = self._train(cell, experiment, key, train, val)
        return self._last[kept]

    def _train(
        self, cell: Cell, experiment: Experiment, key: str, train: Sources, val: Sources
    ) -> TrainedLearner:
        run, method = self._run, METHODS[cell.algorithm]
        setup = training_setup(method, experiment, cell.seed, train, val)
        folder = run.folder.training(cell.algorithm, f"seed {cell.seed}", key)
        sources = _count_of(setup.learned, train)
        run.say(f"training {cell.algorithm} on {sources}, seed {cell.seed}")
        result = fit(
            setup.learner,
            setup.data,
            setup.options,
            folder=folder,
            validate=setup.validate,
            machine=run.machine,
            progress=run.progress,
            track=trackers_of(experiment, folder.name, run.folder.path),
        )
        if setup.renewal is not None and isinstance(setup.learner, Algorithm):
            renew_running_statistics(method, setup.learner, experiment, setup.renewal)
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
        write_summary(folder, summary)
        return TrainedLearner(setup.learner, folder.name)


def sources_of(run: WorkContext, target: str, method: Method) -> tuple[Sources, Sources]:
    """What a row learns from where a target is left out, and what judges it."""
    collection, tasks = run.collection, run.experiment.data.source_tasks
    if method.supervised:
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
    train, val = sources_of(run, target, METHODS[run.experiment.algorithms[0]])
    parts = [[[source.name, source.fingerprint()] for source in part] for part in (train, val)]
    return digest([parts, target] if score == "target-queries" else parts)


def _training_key(cell: Cell, train: Sources, own: Mapping[str, Any]) -> str:
    """The same for cells that share a training."""
    fingerprints = [[source.name, source.fingerprint()] for source in train]
    parts: list[Any] = [cell.algorithm, cell.seed, fingerprints]
    if of_training := settings_of_training(own):
        parts.append(of_training)
    return digest(parts)


def settings_of_training(own: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a row that decide its training."""
    return {name: own[name] for name in own if not name.startswith("evaluation.")}


def _count_of(learned: Sequence[str], train: Sources) -> str:
    of = "" if len(learned) == len(train) else f" of {len(train)}"
    return f"{len(learned)}{of} {'source' if len(train) == 1 else 'sources'}"
