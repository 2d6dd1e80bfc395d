"""What a search consists of: its trials in groups that share a training, and a unit for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import final

from torchcross.experiment.data_formats import Collection
from torchcross.experiment.device import resources_of
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.run.cells import Cell, Say
from torchcross.experiment.run.file_names import file_name, key_text
from torchcross.experiment.run.training import (
    PlannedTraining,
    search_key,
    settings_of_training,
)
from torchcross.experiment.settings.plain import digest
from torchcross.experiment.settings.schema import Experiment
from torchcross.experiment.tuning.folder import TuneFolder, trial_place
from torchcross.experiment.tuning.trials import TuningPlan, experiment_of_trial, values_of_trial
from torchcross.jobs import Unit, UnitFailure
from torchcross.training import TorchMachine


@dataclass(frozen=True)
class TuneContext:
    """The parts of a search. `say` gets one line of text for each event."""

    experiment: Experiment
    collection: Collection
    targets: tuple[str, ...]
    machine: TorchMachine
    folder: TuneFolder
    say: Say
    progress: bool | None
    plan: TuningPlan


@dataclass(frozen=True)
class TrialGroup:
    """The trials of a row, by their numbers, that share a training.

    Of a row that does not train, each trial is a group.

    cell     of the first target that leaves these sources
    sources  the key of the sources
    """

    cell: Cell
    sources: str
    numbers: tuple[int, ...]

    def place(self, number: int) -> str:
        """The file of a trial, in the folder of the search or in that of an attempt."""
        return trial_place(self.cell.algorithm, number, self.sources)

    @property
    def key(self) -> str:
        """The key of its unit."""
        return key_text(Path(self.place(self.numbers[0])).stem)


@final
class Search:
    """What a search tries, on which sources: the same in each process, whatever is scored already.

    sources  for each target, the key of its sources, or why it has none
    """

    def __init__(self, context: TuneContext) -> None:
        self._context = context
        self.sources: dict[str, str | Exception] = {}
        score = context.experiment.tune.score
        for target in context.targets:
            try:
                self.sources[target] = search_key(context, target, score)
            except Exception as error:  # noqa: BLE001 - it is the error of the target's cells
                self.sources[target] = error

    def cells(self) -> Iterator[Cell]:
        """One for each row and each group of targets that leave the same sources."""
        seed = self._context.experiment.seeds[0]
        first: dict[str | Exception, str] = {}
        for target, key in self.sources.items():
            first.setdefault(key, target)
        for target in first.values():
            for search in self._context.plan.searches:
                yield Cell(target, search.row, seed)

    @cached_property
    def groups(self) -> Mapping[str, TrialGroup]:
        """All of them, by the keys of their units."""
        return {group.key: group for cell in self.cells() for group in self._groups_of(cell)}

    @cached_property
    def failures(self) -> Mapping[str, UnitFailure]:
        """Why there are no trials for a target, by a key that cells wait for."""
        errors = {_sources_key(target): error for target, error in self.sources.items()}
        return {
            key: UnitFailure.of(key, error)
            for key, error in errors.items()
            if isinstance(error, Exception)
        }

    def _groups_of(self, cell: Cell) -> Iterator[TrialGroup]:
        sources = self.sources[cell.target]
        if isinstance(sources, Exception):
            return
        by_training: dict[str, list[int]] = {}
        trains = METHODS[cell.algorithm].trains
        for number, trial in enumerate(self._context.plan.search_of(cell.algorithm).trials, 1):
            shared = digest(settings_of_training(trial)) if trains else str(number)
            by_training.setdefault(shared, []).append(number)
        for numbers in by_training.values():
            yield TrialGroup(cell, sources, tuple(numbers))

    def targets_of(self, group: TrialGroup) -> list[str]:
        """The targets that its trials are for."""
        return [target for target, key in self.sources.items() if key == group.sources]

    def training_folder(self, group: TrialGroup) -> str | None:
        """The name of the folder of the training that the trials share, where there is one."""
        cell, context = group.cell, self._context
        if not METHODS[cell.algorithm].trains:
            return None
        trial = context.plan.search_of(cell.algorithm).trials[group.numbers[0] - 1]
        own = values_of_trial(context.experiment, cell.algorithm, trial)
        return PlannedTraining.of(context, cell, own).folder.name


@final
class TuneUnits:
    """The units of what a search has not done yet: one for each group with a trial that is missing.

    Its results are the trials of the group, those that are missing last: so it is done where the
    last one is there, whichever an earlier version has scored.
    """

    def __init__(self, context: TuneContext, search: Search) -> None:
        self._context, self._search = context, search
        self.units = tuple(
            self._unit(group, missing)
            for group in search.groups.values()
            if (missing := self._missing(group))
        )

    def _missing(self, group: TrialGroup) -> list[str]:
        places, folder = map(group.place, group.numbers), self._context.folder.path
        return [place for place in places if not (folder / place).is_file()]

    def _unit(self, group: TrialGroup, missing: Sequence[str]) -> Unit:
        scored = [place for place in map(group.place, group.numbers) if place not in missing]
        experiment, row = self._context.experiment, group.cell.algorithm
        trial = self._context.plan.search_of(row).trials[group.numbers[0] - 1]
        ranks = METHODS[row].ranks(
            experiment_of_trial(experiment, row, trial), experiment.machine.ranks
        )
        resources = resources_of(experiment.machine, ranks)
        return Unit(group.key, (*scored, *missing), resources=resources)

    @property
    def missing_trials(self) -> int:
        """How many are not scored, those among them for which there are no sources."""
        sources = self._search.sources
        without = [
            cell for cell in self._search.cells() if not isinstance(sources[cell.target], str)
        ]
        groups = (self._search.groups[unit.key] for unit in self.units)
        return sum(len(self._missing(group)) for group in groups) + (
            len(without) * self._context.plan.trials
        )

    def cells_that_need(self, key: str) -> tuple[Cell, ...]:
        """The cell of a group, or those of a target that has no sources."""
        if key in self._search.groups:
            return (self._search.groups[key].cell,)
        return tuple(cell for cell in self._search.cells() if _sources_key(cell.target) == key)

    def unfinished_cells(self) -> Iterator[tuple[Cell, tuple[str, ...]]]:
        """The cells with trials that are missing now, each with the keys that it waits for."""
        keys: dict[Cell, list[str]] = {cell: [] for cell in self._search.cells()}
        for group in self._search.groups.values():
            if self._missing(group):
                keys[group.cell].append(group.key)
        for cell, waited_for in keys.items():
            if isinstance(self._search.sources[cell.target], Exception):
                waited_for.append(_sources_key(cell.target))
            if waited_for:
                yield cell, tuple(waited_for)


def _sources_key(target: str) -> str:
    return key_text(file_name(("sources", target, "")))
