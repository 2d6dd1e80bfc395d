"""The trained learners of a run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final

from torchcross.algorithms import Algorithm
from torchcross.data import TaskSource
from torchcross.errors import InputError, SourceError
from torchcross.experiment.rows.adaptation import renew_running_statistics
from torchcross.experiment.rows.methods import Method, starting_network
from torchcross.experiment.rows.training_setup import training_setup
from torchcross.experiment.run.cells import Cell, RunContext
from torchcross.experiment.run.training_files import write_summary
from torchcross.experiment.settings.plain import digest
from torchcross.experiment.settings.row_settings import row_values
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

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._last: dict[str, TrainedLearner] = {}

    def learner(self, cell: Cell, method: Method) -> TrainedLearner:
        if not method.trains:
            net = starting_network(method, self._run.experiment, cell.seed)
            return TrainedLearner(net.to(self._run.machine.device), None)
        train, val = self._sources(cell, method)
        key = self._key(cell, train)
        # What is kept in memory also has running statistics, which the policy may ask for.
        kept = digest([key, self._run.experiment_of(cell).evaluation.norm])
        if kept not in self._last:
            self._last.clear()
            self._last[kept] = self._train(cell, method, key, train, val)
        return self._last[kept]

    def _key(self, cell: Cell, train: Sources) -> str:
        """The same for cells that share a training."""
        parts: list[Any] = [cell.algorithm, cell.seed]
        parts.append([[source.name, source.fingerprint()] for source in train])
        own = row_values(self._run.experiment, cell.algorithm, cell.target)
        if of_training := {name: own[name] for name in own if not name.startswith("evaluation.")}:
            parts.append(of_training)
        return digest(parts)

    def _sources(self, cell: Cell, method: Method) -> tuple[Sources, Sources]:
        """What a cell learns from, and what judges it."""
        collection, tasks = self._run.collection, self._run.experiment.data.source_tasks
        if method.supervised:
            judges: Sources = ()
            # Without a validation split all steps are done, and the report says so.
            with suppress(SourceError):
                judges = (collection.target(cell.target, split="val"),)
            return (collection.target(cell.target, split="train"),), judges
        train = collection.sources(cell.target, split="train", tasks=tasks)
        if not train:
            reasons = dict(collection.why(cell.target))
            raise InputError(f"no source is left for {cell.target!r}; {reasons}")
        return train, collection.sources(cell.target, split="val", tasks=tasks)

    def _train(
        self, cell: Cell, method: Method, key: str, train: Sources, val: Sources
    ) -> TrainedLearner:
        run, experiment = self._run, self._run.experiment_of(cell)
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


def _count_of(learned: Sequence[str], train: Sources) -> str:
    of = "" if len(learned) == len(train) else f" of {len(train)}"
    return f"{len(learned)}{of} {'source' if len(train) == 1 else 'sources'}"
