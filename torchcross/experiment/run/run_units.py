"""The units of a run: one for each training, and one for each cell and number of shots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from torchcross.experiment.device import resources_of
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.stored_features import row_uses_features
from torchcross.experiment.run.cell_parts import KnownEpisodes, part_files, part_ranges
from torchcross.experiment.run.cells import Cell, RunContext
from torchcross.experiment.run.feature_units import features_key, features_unit
from torchcross.experiment.run.file_names import key_text
from torchcross.experiment.run.run_files import RunFiles
from torchcross.experiment.run.training import (
    Fingerprints,
    fingerprints_of,
    sources_of,
    training_folder,
)
from torchcross.jobs import Resources, Unit
from torchcross.records.shots import shots_prefix

_RELATIVE: Final = RunFiles(Path())
"""Paths in the folder of any run."""


@dataclass(frozen=True)
class UnitWork:
    """What a unit does: score a cell at `shots` shots, or, where that is None, train for it.

    makes_features  make the features that it needs instead
    part            some of the episodes of a cell whose episodes are many units; None: all, or what
                    its parts made of them
    """

    cell: Cell
    shots: int | None
    part: range | None = None
    makes_features: bool = False

    def __str__(self) -> str:
        if self.makes_features:
            return f"features of {self.cell.target}"
        if self.shots is None:
            return f"training of {self.cell.algorithm} for {self.cell.target}"
        return f"{self.cell}, {shots_prefix(self.shots)}"


@final
class RunUnits:
    """The units of what a run has not done yet: features first, then in the order of its table.

    episodes  of each target whose episodes are known: for others, no training is worth it
    """

    def __init__(self, run: RunContext, episodes: Mapping[str, KnownEpisodes]) -> None:
        self._run, self._episodes = run, episodes
        self._trainings: dict[str, str] = {}
        """The folder of a training -> the key of its unit."""
        self._features: dict[str, int] = {}
        """The key of a unit that makes features -> how many images it embeds."""
        self._cells: dict[str, Cell] = {}
        """The key of a unit that scores -> its cell."""
        self._names: dict[str, str] = {}
        """The same -> the name of the cell's files."""
        self._parts: dict[str, range] = {}
        """The key of a unit that scores some episodes of a cell -> these episodes."""
        self._joining: set[str] = set()
        """The keys of units that put the parts of a cell together."""
        self._folders: dict[Cell, str | None] = {}
        """A cell -> the folder of its training."""
        self._fingerprints: dict[tuple[str, bool], Fingerprints] = {}
        """A target, and whether the row learns from it -> what is learned from."""
        units = list(self._units())
        # They take longest, and cells wait for them. The largest begin first, so that at the end no
        # process is alone with one while the others have nothing to do.
        self.units = tuple(sorted(units, key=lambda unit: -self._features.get(unit.key, 0)))
        self._by_key = {unit.key: unit for unit in self.units}

    def _units(self) -> Iterator[Unit]:
        machine = self._run.experiment.machine
        resources = resources_of(machine)
        for cell in self._run.cells():
            missing = self._run.missing_shots(cell)
            if not missing:
                continue
            folder = self._training_of(cell)
            needs: tuple[str, ...] = ()
            if folder is not None:
                if folder not in self._trainings:
                    key = train_key(self._first_cell(cell, folder))
                    self._trainings[folder] = key
                    ranks = METHODS[cell.algorithm].ranks(
                        self._run.experiment_of(cell), machine.ranks
                    )
                    of_ranks = resources_of(machine, ranks)
                    yield Unit(key, (f"train/{folder}",), resources=of_ranks)
                needs = (self._trainings[folder],)
            features = features_unit(self._run, cell) if cell.target in self._episodes else None
            if features is not None:
                if features.key not in self._features:
                    self._features[features.key] = self._episodes[cell.target].images
                    yield features
                needs = (features.key,)
            for shots in missing:
                yield from self._units_of_cell(cell, shots, needs, resources)

    def _units_of_cell(
        self, cell: Cell, shots: int, needs: tuple[str, ...], resources: Resources
    ) -> Iterator[Unit]:
        name, parts = self._run.cell_name(cell, shots), []
        for part in cell_parts(self._run, cell, self._episodes):
            key = part_key(name, part)
            rows, *others = part_files(name, part, self._episodes[cell.target].kind)
            self._cells[key], self._names[key], self._parts[key] = cell, name, part
            parts.append(key)
            yield Unit(key, (rows,), needs=needs, resources=resources, shared=tuple(others))
        key = score_key(name)
        self._cells[key], self._names[key] = cell, name
        if parts:
            self._joining.add(key)
        yield Unit(
            key,
            (str(_RELATIVE.episodes(name)), str(_RELATIVE.rows(name))),
            needs=tuple(parts) or needs,
            resources=resources,
            shared=(
                str(_RELATIVE.plans(cell.target, shots)),
                str(_RELATIVE.example(name)),
                str(_RELATIVE.predictions(name)),
            ),
        )

    def _training_of(self, cell: Cell) -> str | None:
        """The name of the folder of a cell's training; None where it is not to be trained.

        Where its sources cannot be read, scoring the cell fails, and says why.
        """
        if cell not in self._folders:
            self._folders[cell] = self._planned_folder(cell)
        return self._folders[cell]

    def _planned_folder(self, cell: Cell) -> str | None:
        method = METHODS[cell.algorithm]
        if not method.trains or not (method.supervised or cell.target in self._episodes):
            return None
        try:
            key = (cell.target, method.supervised)
            if key not in self._fingerprints:
                train, _ = sources_of(self._run.collection, self._run.experiment, cell)
                self._fingerprints[key] = fingerprints_of(train)
            own = self._run.own_values(cell)
            return training_folder(self._run, cell, self._fingerprints[key], own).name
        except Exception:  # noqa: BLE001 - scoring the cell meets it again, and reports it
            return None

    def _first_cell(self, cell: Cell, folder: str) -> Cell:
        """The first cell of the table that has this training, be it done or not.

        All processes of a run name the training after it.
        """
        if METHODS[cell.algorithm].supervised:
            return cell
        for target in self._run.targets:
            other = Cell(target, cell.algorithm, cell.seed)
            if other == cell or self._training_of(other) == folder:
                return other
        return cell

    def cell_of(self, key: str) -> Cell:
        """The cell that a unit scores, or the first one that a training is for."""
        return self.cells_that_need(key)[0]

    def is_scoring(self, key: str) -> bool:
        """Whether a unit scores a cell; the others are trainings, or make features."""
        return key in self._cells

    def makes_features(self, key: str) -> bool:
        return key in self._features

    def images_of(self, key: str) -> int:
        """How many images a unit that makes features embeds."""
        return self._features[key]

    def part_of(self, key: str) -> range | None:
        """The episodes that a unit scores, where these are a part of its cell's."""
        return self._parts.get(key)

    def joins_parts(self, key: str) -> bool:
        """Whether a unit puts the parts of a cell together, which others score."""
        return key in self._joining

    def name_of(self, key: str) -> str:
        """The name of the cell that a unit scores, or of the folder of its training."""
        return Path(self._by_key[key].results[-1]).stem

    def cell_name_of(self, key: str) -> str:
        """The name of the files of the cell of which a unit scores all episodes, or a part."""
        return self._names[key]

    def _needs_of(self, key: str) -> tuple[str, ...]:
        """All units that a unit needs, those first that others need; none where it is no unit."""
        unit = self._by_key.get(key)
        if unit is None:
            return ()
        return tuple(each for need in unit.needs for each in (*self._needs_of(need), need))

    def unfinished_cells(self) -> Iterator[tuple[Cell, tuple[str, ...]]]:
        """The cells that lack rows now, each with the units that it waits for, in their order."""
        for cell in self._run.cells():
            keys = [score_key(self._run.cell_name(cell, n)) for n in self._run.missing_shots(cell)]
            if keys:
                yield cell, tuple(each for key in keys for each in (*self._needs_of(key), key))

    def cells_that_need(self, key: str) -> tuple[Cell, ...]:
        """The cells that are not done without a unit."""
        if key in self._cells:
            return (self._cells[key],)
        needing = (unit.key for unit in self.units if key in unit.needs)
        return tuple(dict.fromkeys(self._cells[each] for each in needing))

    def trainings(self) -> Mapping[str, str]:
        """The folder of each training that is to be done -> the key of its unit."""
        return self._trainings


def works_by_key(run: RunContext, episodes: Mapping[str, KnownEpisodes]) -> dict[str, UnitWork]:
    """What each unit of a run does, by its key; some keys are of no unit."""
    works = {}
    for cell in run.cells():
        works[train_key(cell)] = UnitWork(cell, None)
        if row_uses_features(cell.algorithm, run.experiment):
            works[features_key(run, cell)] = UnitWork(cell, None, makes_features=True)
        for shots in run.shots_of(cell):
            name = run.cell_name(cell, shots)
            works[score_key(name)] = UnitWork(cell, shots)
            for part in cell_parts(run, cell, episodes):
                works[part_key(name, part)] = UnitWork(cell, shots, part)
    return works


def cell_parts(run: RunContext, cell: Cell, episodes: Mapping[str, KnownEpisodes]) -> list[range]:
    """The parts of a cell that is scored in several units; none where one scores it."""
    if METHODS[cell.algorithm].supervised or cell.target not in episodes:
        return []
    ranges = part_ranges(episodes[cell.target].number, run.experiment.machine.unit_episodes)
    return ranges if len(ranges) > 1 else []


def train_key(cell: Cell) -> str:
    return f"train-{key_text(_RELATIVE.training(cell.algorithm, cell.seed, cell.target).name)}"


def part_key(name: str, part: range) -> str:
    return f"part-{key_text(name)}-{part.start}-{part.stop}"


def score_key(name: str) -> str:
    return f"score-{key_text(name)}"
