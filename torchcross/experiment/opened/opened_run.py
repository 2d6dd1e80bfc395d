"""A run that is opened again: its rows as algorithms, with the weights that they were scored with.

run       = tx.open_run("runs/demo")
algorithm = run.algorithm("mm-pt", target="oct/disease class", seed=0)
predictor = algorithm.adapt(support, task)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar, final

from torchcross._kit.plugin_files import check_loaded
from torchcross._kit.suggestions import suggest, unknown_name
from torchcross.data import Episodes, TaskSource
from torchcross.errors import DamageError, InputError
from torchcross.experiment.device import machine_of, own_threads
from torchcross.experiment.opened.row_algorithm import RowAlgorithm
from torchcross.experiment.rows.adaptation import adapter, inner_steps
from torchcross.experiment.rows.methods import METHODS, rows_of_experiment
from torchcross.experiment.rows.target_episodes import level_of, target_episodes
from torchcross.experiment.rows.texts import target_texts
from torchcross.experiment.run.cells import Cell, RunContext
from torchcross.experiment.run.folder import PROVENANCE, RunFolder
from torchcross.experiment.run.provenance import contradictions, data_description
from torchcross.experiment.run.recorded_plugins import recorded_plugins
from torchcross.experiment.run.row_texts import texts_of
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.run.training import Learners, PlannedTraining, TrainedLearner
from torchcross.experiment.run.training_files import is_whole_training
from torchcross.experiment.settings.reading import experiment_from_values
from torchcross.experiment.settings.schema import Experiment
from torchcross.records import Records
from torchcross.task import Task
from torchcross.text import TaskTexts

_Choice = TypeVar("_Choice")


def open_run(
    folder: str | Path, *, data: str | Path | None = None, device: str | None = None
) -> OpenedRun:
    """Open the folder of a run to use what it trained; nothing is written there.

    data    the folder of its datasets, where it is not the one that the run had
    device  such as "cpu" or "cuda:1", where it is not the one that the run asked for
    """
    run = RunFolder(folder)
    # Which code runs is no affair of a folder: whoever opens it has loaded the plugins.
    experiment = replace(experiment_from_values(run.experiment), plugins=())
    if data is not None:
        experiment = replace(experiment, data=replace(experiment.data, folder=str(data)))
    if device is not None:
        experiment = replace(experiment, machine=replace(experiment.machine, device=device))
    return OpenedRun(run, experiment)


@final
class OpenedRun:
    """A run whose rows can adapt to new images; `open_run` makes it.

    The data of the run must be there: which sources a target leaves, and the running statistics of
    a network, come from it.
    """

    def __init__(self, folder: RunFolder, experiment: Experiment) -> None:
        self.folder, self.experiment = folder, experiment

    @property
    def rows(self) -> tuple[str, ...]:
        """The names of its rows; of several backbones, with theirs."""
        return rows_of_experiment(self.experiment)

    @property
    def targets(self) -> tuple[str, ...]:
        return self._context.targets

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds."""
        return tuple(self.experiment.seeds)

    def records(self) -> Records:
        return self.folder.records()

    def source(self, target: str | None = None) -> TaskSource:
        """The source of a target; of one alone it need not be named."""
        return self._context.collection.target(self._target(target, self.targets))

    def episodes(self, target: str, shots: int) -> Episodes:
        """The episodes that the rows of a target were scored on, at one number of shots."""
        episodes = target_episodes(self.source(target), self.experiment)
        return Episodes(level_of(episodes.sampler, self.experiment, shots), episodes.count)

    def algorithm(
        self,
        row: str,
        *,
        target: str | None = None,
        seed: int | None = None,
        task: Task | None = None,
    ) -> RowAlgorithm:
        """A row's algorithm with its trained weights: `adapt` predicts what the row was scored by.

        target  which target it was trained without; needed where the run has several, and the row
                is another for each of them
        seed    the training seed; needed where the run has several that make another network
        task    for a row that reads texts, and another task than that of the target: its texts

        Rows of stored features get the starting network itself: their predictions are the same up
        to rounding.
        """
        cell, run = self._cell(row, target, seed), self._context
        experiment, method = run.experiment_of(cell), METHODS[row]
        with own_threads(self.experiment.machine):
            learner = Learners(run, self._load).learner(cell, run.own_values(cell)).learner
            algorithm = adapter(method, learner, experiment, self._texts(cell, experiment, task))
        algorithm = algorithm.to(run.machine.device)
        steps = inner_steps(method, algorithm, experiment)
        origin = self._origin(cell, has_weights=experiment.model.has_weights)
        return RowAlgorithm(
            algorithm, row=row, target=cell.target, seed=cell.seed, steps=steps, origin=origin
        )

    def __repr__(self) -> str:
        return f"OpenedRun({str(self.folder.path)!r}, rows={list(self.rows)})"

    # -- the parts ---------------------------------------------------------------------------------

    @cached_property
    def _context(self) -> RunContext:
        collection, targets = open_targets(self.experiment.data)
        known = self.folder.plain(PROVENANCE).get("data", {})
        if known and (changed := list(contradictions(known, data_description(collection)))):
            raise InputError(
                f"{self.folder.path} was made with other data than those in"
                f" {self.experiment.data.folder} ({', '.join(changed[:6])} changed); give the data"
                " of the run: open_run(folder, data=...), or --data"
            )
        return RunContext(
            experiment=self.experiment,
            collection=collection,
            targets=targets,
            machine=machine_of(self.experiment.machine),
            folder=self.folder,
            say=lambda line: None,
            progress=False,
            out=self.folder.files,
        )

    def _cell(self, row: str, target: str | None, seed: int | None) -> Cell:
        plugins = recorded_plugins(self.folder.plain(PROVENANCE))
        check_loaded(plugins, str(self.folder.path))
        if row not in self.rows:
            raise InputError(unknown_name(f"row of {self.folder.path}", row, self.rows))
        method = METHODS[row]
        if method.supervised:
            others = [name for name in self.rows if not METHODS[name].supervised]
            raise InputError(
                f"the row {row!r} learned all labels of its target, and adapts to no support set;"
                f" {suggest(row, others)}"
            )
        targets = self.targets if method.trains or self._differs(row) else self.targets[:1]
        name = self._target(target, targets)
        has_weights = self._context.experiment_of(Cell(name, row, 0)).model.has_weights
        seeds = self.seeds if method.has_seeds(has_weights) else self.seeds[:1]
        return Cell(name, row, self._seed(seed, seeds))

    def _differs(self, row: str) -> bool:
        """Whether the row has other settings for other targets."""
        own = [self._context.own_values(Cell(target, row, 0)) for target in self.targets]
        return any(values != own[0] for values in own)

    def _origin(self, cell: Cell, *, has_weights: bool) -> str:
        """Which target and which seed make this row another one, in words."""
        method = METHODS[cell.algorithm]
        words = []
        if method.trains:
            words.append(f"trained without {cell.target}")
        elif self._differs(cell.algorithm):
            words.append(f"with its settings for {cell.target}")
        if method.has_seeds(has_weights):
            words.append(f"seed {cell.seed}")
        return ", ".join(words)

    def _target(self, target: str | None, usable: Sequence[str]) -> str:
        if target is None:
            return _only("target", "target", usable)
        name = self._context.collection.target_name(target)
        if name not in self.targets:
            raise InputError(unknown_name(f"target of {self.folder.path}", name, self.targets))
        return name

    def _seed(self, seed: int | None, usable: Sequence[int]) -> int:
        if seed is None:
            return _only("training seed", "seed", usable)
        if seed not in self.seeds:
            raise InputError(
                f"{self.folder.path} has no training seed {seed!r}; it has"
                f" {', '.join(map(str, self.seeds))}"
            )
        return seed

    def _load(self, planned: PlannedTraining) -> TrainedLearner:
        if not is_whole_training(planned.folder):
            problem = "is damaged" if planned.folder.is_dir() else "is not there"
            raise DamageError(
                f"{planned.folder}, the training of {planned.cell}, {problem} or not finished;"
                " run the same again to make it"
            )
        return planned.load(self._context)

    def _texts(self, cell: Cell, experiment: Experiment, task: Task | None) -> TaskTexts | None:
        if task is None or not METHODS[cell.algorithm].reads_texts:
            sources = [self._context.collection.target(cell.target)]
            return texts_of(cell.algorithm, self._context, experiment, sources)
        return TaskTexts([(task, target_texts(experiment, task))])


def _only(kind: str, name: str, usable: Iterable[_Choice]) -> _Choice:
    """The only one there is; of several, an error that lists them."""
    first, *others = usable
    if others:
        listed = ", ".join(map(repr, (first, *others)))
        raise InputError(
            f"the run has several {kind}s, and the row is another for each: give one ({name}=, or"
            f" --{name}); there are {listed}"
        )
    return first
