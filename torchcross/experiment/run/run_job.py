"""A run as a job: what a worker process makes of an experiment and a folder."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, final

from torchcross._kit.surroundings import installed_version, processor_kind
from torchcross.errors import InputError
from torchcross.experiment.rows.adaptation import adapter
from torchcross.experiment.rows.device import machine_of, own_threads
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.target_episodes import level_of
from torchcross.experiment.run.cell_parts import joined_parts, write_part
from torchcross.experiment.run.cells import Cell, RunContext
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.identity import identity
from torchcross.experiment.run.prediction_store import PredictionStore
from torchcross.experiment.run.protocol import Protocol
from torchcross.experiment.run.provenance import data_description
from torchcross.experiment.run.rank_training import fit_over_ranks
from torchcross.experiment.run.run_files import CELL_PARTS, RunFiles
from torchcross.experiment.run.run_units import RunUnits, UnitWork, cell_parts, works_by_key
from torchcross.experiment.run.scoring import score_part, score_test_split, write_cell
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.run.training import (
    FitOver,
    Learners,
    PlannedTraining,
    TrainedLearner,
)
from torchcross.experiment.settings.plain import digest
from torchcross.experiment.settings.schema import Experiment
from torchcross.jobs import JobFolder, Unit


@dataclass(frozen=True)
class RunJob:
    """The job of a run in the folder `out`.

    call   of each call of a run: what a process knows of an earlier one may be out of date
    bench  in the process that began the run; another process makes its own
    """

    experiment: Experiment
    out: str
    call: str
    bench: Workbench | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, run: RunContext, protocol: Protocol, fit_over: FitOver) -> RunJob:
        bench = Workbench(run, protocol, fit_over, is_worker=False)
        return cls(run.experiment, str(run.folder.path), uuid.uuid4().hex, bench)

    def __hash__(self) -> int:
        return int(self.call, 16)

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker may have another working folder.
        out = str(Path(self.out).absolute())
        return RunJob, (_with_absolute_paths(self.experiment), out, self.call)

    @property
    def is_made_here(self) -> bool:
        """Whether the units are made in the process that began the run."""
        return self.bench is not None and self.bench.has_made

    @property
    def plan(self) -> RunUnits:
        return _workbench(self).plan

    def complete_protocol(self) -> None:
        _workbench(self).protocol.complete()

    def units(self) -> Sequence[Unit]:
        return self.plan.units

    def fingerprint(self) -> Mapping[str, str]:
        """What decides the bytes of rows: two processes with other values do not share a run."""
        run = _workbench(self).run
        return {
            "experiment": identity(self.experiment),
            "data": digest(data_description(run.collection)),
            **{name: str(installed_version(name)) for name in ("torchcross-fewshot", "torch")},
            "hardware": processor_kind(run.machine.device),
            # Rounding alone, so that a run may go on with others: not while this one works.
            "ranks": str(self.experiment.machine.ranks),
        }

    def run(self, key: str, folder: Path) -> None:
        bench = _workbench(self)
        work = bench.works.get(key)
        if work is None:
            raise InputError(
                f"{key!r} is no unit of this experiment: this process has other settings or data"
            )
        with own_threads(self.experiment.machine):
            bench.make(key, work, folder)


@final
class Workbench:
    """What a process needs to make units of a run, one after the other."""

    def __init__(
        self, run: RunContext, protocol: Protocol, fit_over: FitOver, *, is_worker: bool
    ) -> None:
        self.run = run
        self.protocol = protocol
        self.works = works_by_key(run, protocol.episode_counts())
        self._fit_over = fit_over
        self._is_worker = is_worker
        self._learners = Learners(run, lambda planned: planned.load(run))
        self._store: PredictionStore | None = None
        self.has_made = False

    @cached_property
    def plan(self) -> RunUnits:
        return RunUnits(self.run, self.protocol.episode_counts())

    def make(self, key: str, work: UnitWork, folder: Path) -> None:
        self.has_made = True
        run = replace(self.run, out=RunFiles(folder))
        if self._is_worker:
            with JobFolder(run.folder.path).log_file(key).open("w", encoding="utf-8") as log:
                run = replace(run, say=lambda line: print(line, file=log, flush=True))
                self._make(run, work, folder)
        else:
            self._make(run, work, folder)

    def _make(self, run: RunContext, work: UnitWork, folder: Path) -> None:
        if work.shots is None:
            self._train(run, work.cell, folder)
        else:
            for part in CELL_PARTS:
                (folder / part).mkdir(exist_ok=True)
            self._score(run, work.cell, work.shots, work.part)

    def _train(self, run: RunContext, cell: Cell, folder: Path) -> None:
        planned = PlannedTraining.of(run, cell, run.own_values(cell))
        place = folder / "train" / planned.folder.name
        self._learners.keep(planned, planned.run(run, place, self._fit_over))
        # It names this process, and the training is over.
        (place / "lock").unlink(missing_ok=True)

    def _score(self, run: RunContext, cell: Cell, shots: int, part: range | None) -> None:
        method = METHODS[cell.algorithm]
        if method.supervised:
            score_test_split(run, cell, self._trained_learner(cell), self._prediction_store())
            return
        # Without episodes of the target, this is where the cell fails, and says why.
        target = self.protocol.episodes_of(cell.target)
        level = level_of(target.sampler, run.experiment, shots)
        store, name = self._prediction_store(), run.cell_name(cell, shots)
        if part is None and (ranges := cell_parts(run, cell, self.protocol.episode_counts())):
            scored = joined_parts(run.folder.path, name, ranges)
            write_cell(run, cell, target, level, scored, self._training_name(cell), store)
            return
        trained = self._trained_learner(cell)
        algorithm = adapter(method, trained.learner, run.experiment_of(cell))
        numbers = part or range(target.count)
        scored = score_part(run, cell, algorithm, target, level, numbers, store)
        if part is None:
            write_cell(run, cell, target, level, scored, trained.training, store)
        else:
            write_part(run.out.path, name, part, scored)

    def _training_name(self, cell: Cell) -> str | None:
        if not METHODS[cell.algorithm].trains:
            return None
        return PlannedTraining.of(self.run, cell, self.run.own_values(cell)).folder.name

    def _trained_learner(self, cell: Cell) -> TrainedLearner:
        return self._learners.learner(cell, self.run.own_values(cell))

    def _prediction_store(self) -> PredictionStore:
        if self._store is None:
            self._store = self.protocol.prediction_store()
        return self._store


def _workbench(job: RunJob) -> Workbench:
    return job.bench or _workbench_of_worker(job)


@lru_cache(maxsize=1)
def _workbench_of_worker(job: RunJob) -> Workbench:
    """The one of this process; that of another run goes."""
    collection, targets = open_targets(job.experiment.data)
    folder = RunFolder(job.out)
    run = RunContext(
        job.experiment,
        collection,
        targets,
        machine_of(job.experiment.machine),
        folder,
        say=lambda line: None,
        progress=False,
        out=folder.files,
    )
    return Workbench(run, Protocol(run), fit_over_ranks, is_worker=True)


def _with_absolute_paths(experiment: Experiment) -> Experiment:
    data = replace(experiment.data, folder=_absolute(experiment.data.folder))
    model = replace(experiment.model, weights=_absolute(experiment.model.weights))
    return replace(experiment, data=data, model=model)


def _absolute(place: str) -> str:
    """What is no path here, such as an address of another format of data, stays as it is."""
    return str(Path(place).absolute()) if place and Path(place).exists() else place
